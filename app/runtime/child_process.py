"""The process in which a worker of a fleet runs its jobs, forked by one that receives messages.

CUDA, databases and object stores do not survive a fork, so that all of it is opened here.
"""

import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import structlog

from app.errors import AtelierError

log = structlog.stdlib.get_logger(__name__)


class NothingToWorkWithError(AtelierError):
    """What a worker needs cannot be opened."""


class StoppingError(AtelierError):
    """This process takes no more jobs; another should."""


class DeliveredWork(Protocol):
    """What is done with the jobs that a worker is told of."""

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Look what there is to be done, and do it."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Child:
    """Made in the parent, which starts another when it dies. The end of a pipe tells it to stop."""

    def __init__(self, open_work: Callable[[threading.Event], DeliveredWork]) -> None:
        self._open_work = open_work
        self._work: DeliveredWork | None = None
        self._stopping = threading.Event()
        self._is_told = False
        reading, writing = os.pipe()
        self._end = os.fdopen(reading, "rb", buffering=0)
        self._parent = os.fdopen(writing, "wb", buffering=0)
        self._failed = mmap.mmap(-1, 1)  # which parent and child share

    @property
    def has_failed(self) -> bool:
        """Tell whether the child could not open what it works with; in the parent."""
        return self._failed[0] != 0

    def stop(self, **_: Any) -> None:
        """Tell the child to stop; in the parent."""
        self._parent.close()

    def begin(self, **_: Any) -> None:
        """Open what is worked with; in the child."""
        self._parent.close()
        threading.Thread(target=self._await_stop, name="stop", daemon=True).start()
        try:
            self._work = self._open_work(self._stopping)
        except Exception as error:
            show = log.critical if isinstance(error, AtelierError) else log.exception
            show(str(error))
            self._failed[0] = 1
            os.kill(os.getppid(), signal.SIGTERM)

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Do what there is to be done; in the child, which ends if that fails in any way.

        Nothing can succeed any more on a GPU that has failed once, in the same process.

        Raises:
            StoppingError: it is too late.
        """
        if self._work is None or self._is_told:
            raise StoppingError("this worker stops")
        if self._stopping.is_set():
            log.warning("this process was told to stop, and its parent was not; another follows")
            os._exit(1)
        try:
            with self._stopping_on_sigterm():
                self._work.take(job_id, is_redelivered=is_redelivered)
        except Exception:
            log.exception("the work failed; another process takes the place of this one")
            os._exit(1)

    def end(self, **_: Any) -> None:
        """Close what was worked with; in the child."""
        if self._work is not None:
            self._work.close()

    @contextmanager
    def _stopping_on_sigterm(self) -> Iterator[None]:
        """Let SIGTERM stop the work where it can go on later.

        At other times it ends this process: the pool, which sets its handlers after `begin`, has
        it raise an exception, wherever in the work that may be.
        """
        before = signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _await_stop(self) -> None:
        self._end.read(1)
        self._is_told = True
        self._stopping.set()
