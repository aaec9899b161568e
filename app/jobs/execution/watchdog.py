"""Heartbeats of a worker process, and the watchdog that ends the process.

One thread renews the lease of the current job and the worker's row in the worker registry. Another
ends the process if the lease cannot be renewed (another worker may have the job by now), and if the
work ignores cancellation. `faulthandler`, whose timer needs no Python code to run, ends a process
whose step hangs, even inside the interpreter.
"""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from app.jobs.errors import ReplacedError, StoreUnavailableError
from app.jobs.model import Job
from app.jobs.queue import JobQueue
from app.jobs.worker_registry import WorkerRegistry

log = structlog.stdlib.get_logger(__name__)

_STALL_STEPS = 20
_OBEY_STEPS = 3
_LOOKS_PER_RENEWAL = 5


@dataclass(frozen=True)
class WatchdogTimeouts:
    """The interval of renewals, and limits on the time without progress."""

    renew_s: float
    give_up_s: float
    stall_s: float
    cancel_s: float


@dataclass
class _Held:
    job: Job
    renewed_at: float
    cancel_seen_at: float | None = None


class Watchdog:
    """The watchdog of one worker, as a context manager."""

    def __init__(
        self,
        worker: str,
        queue: JobQueue,
        worker_registry: WorkerRegistry,
        timeouts: WatchdogTimeouts,
    ) -> None:
        self._worker = worker
        self._queue = queue
        self._worker_registry = worker_registry
        self._timeouts = timeouts
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("heartbeat", self._renew), ("watch", self._watch))
        ]
        self._held: _Held | None = None
        self._step_s = 0.0
        self._stepped_at = 0.0
        self.steps = 0  # of the current or the last job

    def __enter__(self) -> "Watchdog":
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def hold(self, job: Job) -> Iterator[None]:
        """Renew the lease of a newly claimed job, and watch its steps."""
        self._stepped_at = time.monotonic()
        self._step_s = 0.0
        self.steps = 0
        self._held = _Held(job, renewed_at=self._stepped_at)
        self._watch_step()
        try:
            yield
        finally:
            self._held = None
            faulthandler.cancel_dump_traceback_later()

    def stepped(self) -> None:
        """Note that a step has finished."""
        self.steps += 1
        now = time.monotonic()
        self._step_s, self._stepped_at = now - self._stepped_at, now
        self._watch_step()

    def waits_for_what_comes(self) -> None:
        """Note that a step does not hang: the data it waits for is arriving."""
        self._watch_step()

    def _watch_step(self) -> None:
        longest_s = max(self._timeouts.stall_s, _STALL_STEPS * self._step_s)
        faulthandler.dump_traceback_later(longest_s, exit=True)

    def _renew(self) -> None:
        while not self._ended.wait(self._timeouts.renew_s):
            try:
                if (held := self._held) is not None:
                    self._keep(held)
                self._worker_registry.beat(self._worker)
            except StoreUnavailableError as error:
                log.warning("the store does not answer", error=str(error))
            except Exception:  # this thread must continue: without it the worker ends
                log.exception("the heartbeat failed")

    def _keep(self, held: _Held) -> None:
        try:
            asked = self._queue.renew(held.job).cancel_requested
        except ReplacedError:  # or just ended; the handler finds out with its next report
            asked = False
        held.renewed_at = time.monotonic()
        if asked and held.cancel_seen_at is None:
            held.cancel_seen_at = held.renewed_at

    def _watch(self) -> None:
        """Check in a thread of its own: renewals may wait for the store."""
        while not self._ended.wait(self._timeouts.renew_s / _LOOKS_PER_RENEWAL):
            held, now = self._held, time.monotonic()
            if held is None:
                continue
            obey_s = max(self._timeouts.cancel_s, _OBEY_STEPS * self._step_s)
            if now - held.renewed_at > self._timeouts.give_up_s:
                _end("the lease cannot be renewed", held.job)
            if held.cancel_seen_at is not None and now - held.cancel_seen_at > obey_s:
                _end("the work ignores cancellation", held.job)


def _end(reason: str, job: Job) -> None:
    log.critical("the worker ends itself", reason=reason, job_id=job.id, request_id=job.request_id)
    os.kill(os.getpid(), signal.SIGKILL)
