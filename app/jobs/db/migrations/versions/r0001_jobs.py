"""The schema before revisions were counted; creates whatever of it is missing."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of jobs and workers."""
    _make_jobs()
    _add_extras()
    op.create_index("job_by_status", "job", ["status"], if_not_exists=True)
    op.create_index("job_by_turn", "job", ["owner", "kind", "claimed_at"], if_not_exists=True)
    _make_workers()
    _make_identity()


def _make_jobs() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "job",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("idempotency_key", sa.String(256)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("estimate_s", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("run_after", sa.Double, nullable=False),
        sa.Column("claimed_at", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("expired", sa.Boolean, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.String(256)),
        sa.Column("lease_until", sa.Double),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("finish_requested", sa.Boolean, nullable=False),
        sa.Column("eta_s", sa.Double),
        sa.Column("step", sa.Integer),
        sa.Column("steps", sa.Integer),
        sa.Column("size", sa.Integer),
        sa.Column("content_loss", sa.Double),
        sa.Column("style_loss", sa.Double),
        sa.Column("error", sa.JSON),
        sa.Column("preview", sa.String(256)),
        sa.Column("result", sa.String(256)),
        sa.Column("painting", sa.String(256)),
        sa.Column("extras", sa.JSON),
        sa.Column("checkpoints", sa.JSON, nullable=False),
        sa.UniqueConstraint("owner", "idempotency_key"),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )


def _make_workers() -> None:
    op.create_table(
        "worker",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("dtype", sa.String(32), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("calibration", sa.JSON),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        if_not_exists=True,
    )


def _make_identity() -> None:
    """Insert one row with the unique id of this database."""
    identity = op.create_table(
        "identity", sa.Column("id", sa.String(32), primary_key=True), if_not_exists=True
    )
    mine = sa.select(sa.literal(uuid.uuid4().hex)).where(~sa.exists(sa.select(identity)))
    op.execute(identity.insert().from_select(["id"], mine))


def _add_extras() -> None:
    """Add the column, which some databases without revisions lack."""
    context = op.get_context()
    if context.as_sql:
        return
    columns = sa.inspect(op.get_bind()).get_columns("job")
    if "extras" not in {column["name"] for column in columns}:
        op.add_column("job", sa.Column("extras", sa.JSON))
