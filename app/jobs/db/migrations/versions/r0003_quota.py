"""The size of each job's files, so that a caller's quota is one sum."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column. The size of older jobs' files is unknown and counts as nothing."""
    op.add_column("job", sa.Column("stored_bytes", sa.BigInteger))
