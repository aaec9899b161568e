"""Writes down how one claimed job goes on, and what becomes of it.

A report or a checkpoint that cannot be written (the disk is full, the database is locked) is left
out with a warning, and the work goes on. The job's end is tried until it is written.
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
"""How much longer the work goes on than a write took that failed, until the next is tried."""


@dataclass(frozen=True)
class ReportIntervals:
    """The least time between two reports, and between two checkpoints.

    A result that the object store does not take is kept for `result_wait_s`.
    """

    report_s: float
    checkpoint_s: float
    result_wait_s: float


class ProgressReporter:
    """Of one attempt at one job; every method that writes raises `ReplacedError` after its end."""

    def __init__(
        self, job: Job, queue: JobQueue, storage: FileStorage, intervals: ReportIntervals
    ) -> None:
        self.job = job  # as it was when last written
        self._queue = queue
        self._storage = storage
        self._intervals = intervals
        self._report_at = 0.0
        self._keep_at = time.monotonic() + intervals.checkpoint_s
        self._store_at = 0.0
        self._size: int | None = None

    def note(self, update: JobUpdate) -> None:
        """Report and keep what is due; a change of scale is kept at once."""
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + self._intervals.report_s
            self._report(update)
        size, self._size = self._size, update.progress.size
        if now >= self._keep_at or size not in (None, self._size):
            self._keep_at = now + self._intervals.checkpoint_s
            self._keep(update)

    def give_back(self, update: JobUpdate | None) -> Job:
        """Keep what there is and let another worker go on."""
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
        """End the job as its owner asked."""
        return _until_written(lambda: self._queue.cancel(self.job))

    def fail(self, fault: Fault) -> Job:
        """End the job with an error that would come again."""
        return _until_written(lambda: self._queue.fail(self.job, fault))

    def fail_to_store(self) -> Job:
        """End the job with its last checkpoint instead of a result; a painting can go on there."""
        is_painting = self.job.kind is JobKind.STYLIZE
        kept = self.job.checkpoints[0] if is_painting and self.job.checkpoints else None
        return _until_written(lambda: self._queue.fail(self.job, _NOT_STORED, kept))

    def wait(self) -> Job:
        """Put the job back until what it needs is there again."""
        return _until_written(lambda: self._queue.wait(self.job))

    def retry(self, fault: Fault) -> Job:
        """Put the job back after an error that may pass."""
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
        with self._spared("the checkpoint cannot be kept"):
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
        """Leave out what cannot be written; the work then goes on for longer than that took."""
        began = time.monotonic()
        try:
            yield
        except (OSError, StoreUnavailableError) as error:
            now = time.monotonic()
            self._store_at = now + _WORK_BETWEEN * (now - began)
            log.warning(event, error=str(error))

    def _delete(self, key: str) -> None:
        with suppress(OSError):  # it goes with the job's other files
            self._storage.delete(key)

    def _put(self, file: OutputFile, download_as: str | None = None) -> str:
        key = f"{self.job.folder()}/{file.name}"
        return self._storage.put(key, file.data, download_as=download_as)


def _preview(update: JobUpdate) -> OutputFile | None:
    """Return the picture as it is now, under a name that no other has: files never change."""
    if update.preview is None:
        return None
    made = update.preview()
    return replace(made, name=f"{update.progress.step}-{made.name}")


def _until_written(write: Callable[[], Job]) -> Job:
    """Try again while the store is away; if that lasts, liveness ends the process."""
    while True:
        try:
            return write()
        except StoreUnavailableError as error:
            log.warning("the end of the job cannot be written yet", error=str(error))
            time.sleep(_AGAIN_S)
