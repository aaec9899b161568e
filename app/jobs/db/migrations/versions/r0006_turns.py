"""The order of callers, and indexes with which queries read only the rows they return."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Store the order in which callers were served, and drop the index it was read from."""
    served = op.create_table(
        "served",
        sa.Column("owner", sa.String(128), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("turn", sa.BigInteger, nullable=False),
    )
    job = sa.table("job", sa.column("owner"), sa.column("kind"), sa.column("claimed_at"))
    last = sa.func.max(job.c.claimed_at)
    order = sa.func.row_number().over(order_by=last)
    before = (
        sa.select(job.c.owner, job.c.kind, order)
        .where(job.c.claimed_at.is_not(None))
        .group_by(job.c.owner, job.c.kind)
    )
    op.execute(served.insert().from_select(["owner", "kind", "turn"], before))
    op.drop_index("job_by_turn", "job")
    op.drop_index("job_by_status", "job")
    op.create_index("job_by_status", "job", ["status", "kind"])
    op.create_index("job_by_owner", "job", ["owner", "number", "kept_since"])
    op.create_index("job_by_owner_status", "job", ["owner", "status", "number"])
    op.create_index("job_by_owner_kind", "job", ["owner", "kind", "number"])
    op.create_index("job_by_files", "job", ["owner", "stored_bytes", "finished_at"])
