"""Service time, by which jobs expire instead of by the wall clock."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Start from the newest time in the database, or from now: one of them may be wrong."""
    clock = op.create_table(
        "service_time",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("noted_at", sa.Double, nullable=False),
    )
    start = sa.select(sa.literal(1), _start(), _start())
    op.execute(clock.insert().from_select(["id", "seconds", "noted_at"], start))
    op.add_column("job", sa.Column("kept_since", sa.Double))
    began = sa.select(clock.c.seconds).scalar_subquery()
    ended_at = sa.case((_JOB.c.finished_at < began, _JOB.c.finished_at), else_=began)
    has_ended = _JOB.c.status.in_(["succeeded", "failed", "cancelled"])
    op.execute(_JOB.update().where(has_ended).values(kept_since=ended_at))
    op.drop_index("job_by_end", "job")
    op.create_index("job_by_age", "job", ["expired", "kept_since"])


_JOB = sa.table(
    "job",
    *(sa.column(name, sa.Double) for name in ("created_at", "claimed_at", "finished_at")),
    sa.column("status", sa.String),
    sa.column("kept_since", sa.Double),
)
_WORKER = sa.table("worker", sa.column("seen_at", sa.Double))


def _start() -> sa.ColumnElement[float]:
    """Return the earlier one of the newest time in the database and of now."""
    columns = (_JOB.c.created_at, _JOB.c.claimed_at, _JOB.c.finished_at, _WORKER.c.seen_at)
    times = sa.union_all(*(sa.select(sa.func.max(column).label("at")) for column in columns))
    newest = sa.select(sa.func.max(times.subquery().c.at)).scalar_subquery()
    now = sa.literal(time.time(), sa.Double)
    return sa.case((newest < now, newest), else_=now)
