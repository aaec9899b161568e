"""What a job that was interrupted goes on from."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from app.errors import AtelierError
from app.jobs.model import Job
from app.jobs.storage.base import Blobs

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")


def newest_readable(job: Job, blobs: Blobs, read: Callable[[bytes], T]) -> T | None:
    """Read the newest checkpoint that can be read; None where there is none.

    One that is damaged or gone is deleted, so that it does not take the place of an older one.
    `read` raises ValueError or AtelierError on damaged data.

    Raises:
        OSError: there may be one that can be read later.
    """
    away: OSError | None = None
    for key in job.checkpoints:
        try:
            return read(blobs.get(key))
        except (ValueError, AtelierError, FileNotFoundError) as error:
            log.warning("a checkpoint cannot be read; an older one is tried", error=str(error))
            with suppress(OSError):
                blobs.delete(key)
        except OSError as error:
            log.warning("a checkpoint cannot be read for now", error=str(error))
            away = error
    if away is not None:
        raise away
    return None
