"""An index for maintenance, which looks for old finished jobs every few seconds."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index jobs by their end."""
    op.create_index("job_by_end", "job", ["expired", "finished_at"])
