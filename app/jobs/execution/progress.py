"""Reporting of a claimed job's progress, checkpoints and end.

A report or checkpoint that cannot be written (the disk is full, the database is locked) is skipped
with a warning, and the work continues. Writing the job's end is retried until it succeeds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from app.jobs.errors import StoreUnavailableError
from app.jobs.execution.work import JobUpdate, OutputFile
from app.jobs.model import Fault, Job, JobKind
from app.jobs.queue import JobQueue, Outcome
from app.jobs.storage.base import FileStorage

log = structlog.stdlib.get_logger(__name__)

_AGAIN_S = 0.2
_NOT_STORED = Fault(
    "storage_failed",
    "The object store did not take the result. Continue the job from its last checkpoint, or send "
    "it again, when the operator has repaired the store.",
)
_WORK_BETWEEN = 4.0
"""The pause after a failed write, as a multiple of its duration."""


@dataclass(frozen=True)
class ReportIntervals:
    """The shortest time between two reports, and between two checkpoints, in seconds.

    A result that the object store refuses is kept for `result_wait_s`.
    """

    report_s: float
    checkpoint_s: float
    result_wait_s: float


class ProgressReporter:
    """The reporter of one attempt at a job.

    Methods that write raise `ReplacedError` after its end.
    """

    def __init__(
        self, job: Job, queue: JobQueue, storage: FileStorage, intervals: ReportIntervals
    ) -> None:
        self.job = job  # as last written
        self._queue = queue
        self._storage = storage
        self._intervals = intervals
        self._report_at = 0.0
        self._keep_at = time.monotonic() + intervals.checkpoint_s
        self._store_at = 0.0
        self._size: int | None = None

    def note(self, update: JobUpdate) -> None:
        """Write the report and the checkpoint that are due. A change of scale is stored at once."""
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + self._intervals.report_s
            self._report(update)
        size, self._size = self._size, update.progress.size
        if now >= self._keep_at or size not in (None, self._size):
            self._keep_at = now + self._intervals.checkpoint_s
            self._keep(update)

    def give_back(self, update: JobUpdate | None) -> Job:
        """Store a checkpoint and give the job back to another worker."""
        if update is not None:
            self._keep(update)
        return _until_written(lambda: self._queue.give_back(self.job))

    def finish(self, update: JobUpdate) -> Job:
        """Store the result and end the job.

        Raises:
            OSError: the result cannot be stored.
        """
        product = update.product()
        preview = _preview(update)
        files = [product.result, product.painting, preview, *product.extras]
        outcome = Outcome(
            result=self._put(product.result, self.job.download_name(product.result.name)),
            stored_bytes=sum(len(file.data) for file in files if file),
            preview=self._put(preview) if preview else None,
            painting=self._put(product.painting) if product.painting else None,
            extras={file.name: self._put(file) for file in product.extras},
        )
        return _until_written(lambda: self._queue.finish(self.job, update.progress, outcome))

    def cancel(self) -> Job:
        """End the job as canceled."""
        return _until_written(lambda: self._queue.cancel(self.job))

    def fail(self, fault: Fault) -> Job:
        """End the job with a permanent error."""
        return _until_written(lambda: self._queue.fail(self.job, fault))

    def fail_to_store(self) -> Job:
        """End the job with an error and a checkpoint from which it can be continued."""
        is_painting = self.job.kind is JobKind.STYLIZE
        kept = self.job.checkpoints[0] if is_painting and self.job.checkpoints else None
        return _until_written(lambda: self._queue.fail(self.job, _NOT_STORED, kept))

    def wait(self) -> Job:
        """Put the job back until the files it needs are available again."""
        return _until_written(lambda: self._queue.wait(self.job))

    def retry(self, fault: Fault) -> Job:
        """Put the job back after an error that may be temporary."""
        return _until_written(lambda: self._queue.retry(self.job, fault))

    def _report(self, update: JobUpdate) -> None:
        key, before = None, self.job.preview
        if self._may_store():
            with self._spared("the preview cannot be stored"):
                preview = _preview(update)
                key = self._put(preview) if preview else None
        try:
            self.job = self._queue.report(self.job, update.progress, update.eta_s, key)
        except StoreUnavailableError as error:
            log.warning("the progress cannot be reported", error=str(error))
            return
        if key and before and key != before:
            self._delete(before)

    def _keep(self, update: JobUpdate) -> None:
        if update.checkpoint is None or not self._may_store():
            return
        with self._spared("the checkpoint cannot be stored"):
            present = [key for key in self.job.checkpoints if self._storage.exists(key)]
            newest, *stale = present or (None,)
            key = self._put(OutputFile(f"checkpoint-{update.progress.step}", update.checkpoint()))
            if key == newest:
                return
            self.job = self._queue.keep(self.job, key, newest)
            for old in stale:
                self._delete(old)

    def _may_store(self) -> bool:
        return time.monotonic() >= self._store_at

    @contextmanager
    def _spared(self, event: str) -> Iterator[None]:
        """Skip a write that fails, and pause writing for a multiple of the time it took."""
        began = time.monotonic()
        try:
            yield
        except (OSError, StoreUnavailableError) as error:
            now = time.monotonic()
            self._store_at = now + _WORK_BETWEEN * (now - began)
            log.warning(event, error=str(error))

    def _delete(self, key: str) -> None:
        with suppress(OSError):  # it is removed with the job's other files
            self._storage.delete(key)

    def _put(self, file: OutputFile, download_as: str | None = None) -> str:
        key = f"{self.job.folder()}/{file.name}"
        return self._storage.put(key, file.data, download_as=download_as)


def _preview(update: JobUpdate) -> OutputFile | None:
    """Store the current preview under a new name, because stored files never change."""
    if update.preview is None:
        return None
    made = update.preview()
    return replace(made, name=f"{update.progress.step}-{made.name}")


def _until_written(write: Callable[[], Job]) -> Job:
    """Retry while the job store is unreachable. If that lasts, the watchdog ends the process."""
    while True:
        try:
            return write()
        except StoreUnavailableError as error:
            log.warning("the end of the job cannot be written; retrying", error=str(error))
            time.sleep(_AGAIN_S)
