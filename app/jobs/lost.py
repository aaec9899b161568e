"""What is to be done about jobs that were taken from workers which died or did not answer."""

from collections.abc import Sequence

import structlog

from app.jobs.blobs import Blobs
from app.jobs.job import Job, folder_of

log = structlog.stdlib.get_logger(__name__)


def note_lost(jobs: Sequence[Job], blobs: Blobs) -> None:
    """Log them, and remove the files of those that have ended so."""
    for job in jobs:
        log.warning(
            "a job was lost by its worker",
            job_id=job.id,
            request_id=job.request_id,
            status=job.status,
        )
        if job.status.is_terminal:
            try:
                blobs.keep_only(folder_of(job.id), job.files())
            except OSError as error:
                log.warning("the files of a lost job cannot be removed", error=str(error))
