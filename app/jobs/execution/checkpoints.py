"""The checkpoint from which an interrupted job continues."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from app.errors import AtelierError
from app.jobs.model import Job
from app.jobs.storage.base import FileStorage

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")


def newest_readable(job: Job, storage: FileStorage, read: Callable[[bytes], T]) -> T | None:
    """Return the newest readable checkpoint, or None if there is none.

    A damaged one is deleted, so that it does not hide an older one.
    `read` raises ValueError or AtelierError on damaged data.

    Raises:
        OSError: a checkpoint may be readable later.
    """
    away: OSError | None = None
    for key in job.checkpoints:
        try:
            found = read(storage.get(key))
        except (ValueError, AtelierError, FileNotFoundError) as error:
            log.warning(
                "a checkpoint cannot be read; an older one is tried", key=key, error=str(error)
            )
            with suppress(OSError):
                storage.delete(key)
        except OSError as error:
            log.warning("a checkpoint cannot be read at the moment", key=key, error=str(error))
            away = error
        else:
            log.info("job continues from a checkpoint", key=key)
            return found
    if away is not None:
        raise away
    return None
