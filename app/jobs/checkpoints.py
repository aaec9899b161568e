"""What a job that was interrupted goes on from."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from app.jobs.blobs import Blobs
from app.jobs.job import Job
from app.vision.errors import AtelierError

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")


def newest_readable(job: Job, blobs: Blobs, read: Callable[[bytes], T]) -> T | None:
    """Read the newest checkpoint that can be read; None where there is none.

    One that cannot is deleted, so that it does not take the place of an older one. `read` raises
    ValueError or AtelierError on damaged data.
    """
    for key in job.checkpoints:
        try:
            return read(blobs.get(key))
        except (ValueError, AtelierError, OSError) as error:
            log.warning("a checkpoint cannot be read; an older one is tried", error=str(error))
            with suppress(OSError):
                blobs.delete(key)
    return None
