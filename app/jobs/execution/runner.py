"""The run of one claimed job from start to end.

The handler yields updates. Between two updates the runner checks for requests to cancel, to finish
early, or to stop so that another worker continues.
"""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import closing

import structlog
import torch

from app.jobs.cleanup import remove_attempts
from app.jobs.errors import BadJobError, ReplacedError, StorageOfflineError
from app.jobs.execution.progress import ProgressReporter, ReportIntervals
from app.jobs.execution.watchdog import Watchdog
from app.jobs.execution.work import JobHandler, JobUpdate
from app.jobs.model import Fault, Job, JobKind
from app.jobs.queue import JobQueue
from app.jobs.storage.base import FileStorage

log = structlog.stdlib.get_logger(__name__)

_AGAIN_S = 1.0


class Runner:
    """A runner of one worker's jobs, one at a time."""

    def __init__(
        self,
        queue: JobQueue,
        storage: FileStorage,
        works: Mapping[JobKind, JobHandler],
        watchdog: Watchdog,
        intervals: ReportIntervals,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._works = works
        self._watchdog = watchdog
        self._intervals = intervals

    def run(self, job: Job, stopping: threading.Event) -> None:
        """Run a claimed job until it ends, is lost, or `stopping` is set."""
        names = {"job_id": job.id, "attempt": job.attempt, "request_id": job.request_id}
        with structlog.contextvars.bound_contextvars(**names):
            log.info("job claimed", kind=job.kind, crashes=job.crashes, pid=os.getpid())
            try:
                with self._watchdog.hold(job):
                    left = self._run(job, stopping)
            except ReplacedError:
                log.warning("the job is no longer this worker's")
                return
            log.info("job left", status=left.status, steps=self._watchdog.steps)
            if left.status.is_terminal:
                remove_attempts(left, self._storage)

    def _run(self, job: Job, stopping: threading.Event) -> Job:
        reporter = ProgressReporter(job, self._queue, self._storage, self._intervals)
        try:
            return self._follow(reporter, stopping)
        except ReplacedError:
            raise
        except BadJobError as error:
            return reporter.fail(Fault(error.code, str(error)))
        except torch.AcceleratorError:
            raise  # no work on this device can succeed any more, so the process must end
        except StorageOfflineError as error:
            log.warning("the job waits for the object store", error=str(error))
            return reporter.wait()
        except OSError as error:
            log.exception("the files of the job cannot be used")
            return reporter.retry(
                Fault("storage_failed", f"A file cannot be used: {error.strerror}.")
            )
        except Exception:
            log.exception("the job failed")
            return reporter.retry(
                Fault("internal_error", "the work failed unexpectedly, see the log")
            )

    def _follow(self, reporter: ProgressReporter, stopping: threading.Event) -> Job:
        # The generator stays open until the end is written: its state makes an update's files.
        with closing(self._works[reporter.job.kind](reporter.job)) as updates:
            update = None
            for update in updates:
                self._watchdog.stepped()
                if update.progress.step >= update.progress.steps:
                    break
                reporter.note(update)
                if reporter.job.cancel_requested:
                    return reporter.cancel()
                if reporter.job.finish_requested and update.can_finish:
                    break
                if stopping.is_set():
                    return reporter.give_back(update)
            if update is None:
                raise BadJobError("no_work", "the handler yielded nothing")
            return self._finish(reporter, update, stopping)

    def _finish(
        self, reporter: ProgressReporter, update: JobUpdate, stopping: threading.Event
    ) -> Job:
        """End the job with its result; keep it in memory while the store is unreachable."""
        ends_at = time.monotonic() + self._intervals.result_wait_s
        while True:
            try:
                return reporter.finish(update)
            except StorageOfflineError as error:
                log.warning("the result waits for the object store", error=str(error))
            if time.monotonic() >= ends_at:
                log.error("the object store refuses the result; the job fails")
                return reporter.fail_to_store()
            self._watchdog.waits_for_what_comes()
            reporter.note(update)
            if reporter.job.cancel_requested:
                return reporter.cancel()
            if stopping.wait(_AGAIN_S):
                return reporter.give_back(update)
