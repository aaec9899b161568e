"""An index for those who look, every few seconds, for jobs that ended long ago."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Order jobs by their end."""
    op.create_index("job_by_end", "job", ["expired", "finished_at"])
