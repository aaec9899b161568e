"""State that hosts share: jobs to announce to a broker, and the callers' rate limits."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns and tables. Jobs that are waiting are announced once there is a broker."""
    op.add_column("job", sa.Column("announce_at", sa.Double, server_default="0"))
    op.create_table(
        "allowance",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
    )
