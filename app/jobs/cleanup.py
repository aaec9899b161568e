"""Removal of files that jobs no longer need."""

from collections.abc import Sequence

import structlog

from app.jobs.model import Job, folder_of
from app.jobs.storage.base import FileStorage

log = structlog.stdlib.get_logger(__name__)


def note_lost(jobs: Sequence[Job], storage: FileStorage) -> None:
    """Log jobs that were taken from workers, and remove the files they no longer need."""
    for job in jobs:
        log.warning(
            "a worker lost its job",
            job_id=job.id,
            request_id=job.request_id,
            status=job.status,
        )
        if job.status.is_terminal:
            remove_attempts(job, storage)


def remove_attempts(job: Job, storage: FileStorage) -> None:
    """Remove the files that a job no longer needs. Maintenance retries later if that fails."""
    remove_files(job.id, storage, keep=job.files())


def remove_files(job_id: str, storage: FileStorage, keep: set[str] | None = None) -> None:
    """Remove a job's files except some. Maintenance retries later if that fails."""
    try:
        storage.keep_only(folder_of(job_id), keep or set())
    except OSError as error:
        log.warning("files of a job cannot be removed", job_id=job_id, error=str(error))
