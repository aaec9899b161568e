"""Which checkpoint a job goes on from, and which it keeps."""

from pathlib import Path

import pytest

from app.jobs.execution.checkpoints import newest_readable
from app.jobs.execution.progress import ProgressReporter, ReportIntervals
from app.jobs.execution.work import JobOutput, JobUpdate, OutputFile
from app.jobs.model import Job, Progress
from app.jobs.queue import JobQueue
from app.jobs.storage.base import FileStorage
from app.jobs.storage.local import LocalStorage
from app.jobs.store import JobStore
from tests.jobs.orders import order


def step(number: int) -> JobUpdate:
    progress = Progress(number, 100)
    product = JobOutput(OutputFile("result.png", b"picture"))
    return JobUpdate(progress, None, None, lambda: b"%d" % number, lambda: product)


def reader(data: bytes) -> int:
    return int(data)


def claimed(store: JobStore, queue: JobQueue) -> Job:
    store.create(order())
    job = queue.claim("w")
    assert job is not None
    return job


def kept(job: Job, storage: FileStorage) -> list[bytes]:
    return [storage.get(key) for key in job.checkpoints]


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_good_one(
    tmp_path: Path, store: JobStore, queue: JobQueue
) -> None:
    storage, intervals = (
        LocalStorage(tmp_path / "var"),
        ReportIntervals(report_s=0, checkpoint_s=0, result_wait_s=0),
    )
    first = claimed(store, queue)
    reporter = ProgressReporter(first, queue, storage, intervals)
    for number in (5, 10, 20):
        reporter.note(step(number))
    assert kept(reporter.job, storage) == [b"20", b"10"]
    storage.path(reporter.job.checkpoints[0]).write_bytes(b"")
    queue.release("w")

    second = queue.claim("w")
    assert second is not None
    assert newest_readable(second, storage, reader) == 10
    reporter = ProgressReporter(second, queue, storage, intervals)
    reporter.note(step(12))
    assert kept(reporter.job, storage) == [b"12", b"10"]


def test_no_checkpoint_is_returned_if_none_is_readable(
    tmp_path: Path, store: JobStore, queue: JobQueue
) -> None:
    storage = LocalStorage(tmp_path / "var")
    job = claimed(store, queue)
    assert newest_readable(job, storage, reader) is None
    job = queue.keep(job, storage.put("jobs/x/1/checkpoint-2", b"two"), "jobs/x/1/checkpoint-1")
    assert newest_readable(job, storage, reader) is None
    assert not storage.exists("jobs/x/1/checkpoint-2")


def test_clients_do_not_see_checkpoints(store: JobStore, queue: JobQueue) -> None:
    job = claimed(store, queue)
    assert queue.keep(job, "jobs/x/1/checkpoint-1", None).version == job.version


def test_temporarily_unreadable_checkpoint_is_kept(
    tmp_path: Path, store: JobStore, queue: JobQueue
) -> None:
    storage = LocalStorage(tmp_path / "var")
    job = claimed(store, queue)
    newest, older = "jobs/x/1/checkpoint-2", "jobs/x/1/checkpoint-1"
    storage.path(newest).mkdir(parents=True)  # no file to read
    job = queue.keep(job, newest, storage.put(older, b"1"))
    assert newest_readable(job, storage, reader) == 1
    assert storage.exists(newest)
    storage.delete(older)
    with pytest.raises(IsADirectoryError):
        newest_readable(job, storage, reader)
    assert storage.exists(newest)
