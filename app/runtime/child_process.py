"""The child process in which a fleet's worker runs its jobs; its parent receives the messages.

CUDA and connections do not survive a fork, so they are opened in the child.
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
from app.runtime.signals import setter_for_signal_handlers

log = structlog.stdlib.get_logger(__name__)


class WorkerStartError(AtelierError):
    """The worker cannot open its services."""


class StoppingError(AtelierError):
    """This process accepts no more jobs; another worker should run the job."""


class DeliveryHandler(Protocol):
    """The handler of the jobs that the broker names."""

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Claim and run a job."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class ForkedWorker:
    """A forked worker process.

    The parent creates this object and replaces a dead child; closing a pipe tells the child to
    stop.
    """

    def __init__(self, open_work: Callable[[threading.Event], DeliveryHandler]) -> None:
        self._open_work = open_work
        self._work: DeliveryHandler | None = None
        self._stopping = threading.Event()
        self._stop = self._stopping.set  # in the child, one for signal handlers
        self._is_told = False
        reading, writing = os.pipe()
        self._end = os.fdopen(reading, "rb", buffering=0)
        self._parent = os.fdopen(writing, "wb", buffering=0)
        self._failed = mmap.mmap(-1, 1)  # shared by parent and child

    @property
    def has_failed(self) -> bool:
        """In the parent: return whether the child failed to start."""
        return self._failed[0] != 0

    def stop(self, **_: Any) -> None:
        """In the parent: tell the child to stop."""
        self._parent.close()

    def begin(self, **_: Any) -> None:
        """In the child: open the services."""
        self._parent.close()
        self._stop = setter_for_signal_handlers(self._stopping)
        threading.Thread(target=self._await_stop, name="stop", daemon=True).start()
        try:
            self._work = self._open_work(self._stopping)
        except Exception as error:
            show = log.critical if isinstance(error, AtelierError) else log.exception
            show(str(error))
            self._failed[0] = 1
            os.kill(os.getppid(), signal.SIGTERM)

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """In the child: run a job, and exit after any failure.

        After a failure on a GPU, no work in the same process can succeed.

        Raises:
            StoppingError: the worker is stopping.
        """
        if self._work is None or self._is_told:
            raise StoppingError("this worker stops")
        if self._stopping.is_set():
            log.warning("this process was told to stop but its parent was not; it will be replaced")
            os._exit(1)
        try:
            with self._stopping_on_sigterm():
                self._work.take(job_id, is_redelivered=is_redelivered)
        except Exception:
            log.exception("the job handler failed; this process will be replaced")
            os._exit(1)

    def end(self, **_: Any) -> None:
        """In the child: close the services."""
        if self._work is not None:
            self._work.close()

    @contextmanager
    def _stopping_on_sigterm(self) -> Iterator[None]:
        """While a job runs, let SIGTERM stop it at a point where it can continue later.

        At other times SIGTERM ends this process: the pool sets its handlers after `begin`, and they
        raise an exception at any point of the code.
        """
        before = signal.signal(signal.SIGTERM, lambda *_: self._stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _await_stop(self) -> None:
        self._end.read(1)
        self._is_told = True
        self._stopping.set()
