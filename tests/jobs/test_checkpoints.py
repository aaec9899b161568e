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


def claimed(store: JobStore, leases: JobQueue) -> Job:
    store.create(order())
    job = leases.claim("w")
    assert job is not None
    return job


def kept(job: Job, blobs: FileStorage) -> list[bytes]:
    return [blobs.get(key) for key in job.checkpoints]


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_good_one(
    tmp_path: Path, store: JobStore, leases: JobQueue
) -> None:
    blobs, pace = (
        LocalStorage(tmp_path / "var"),
        ReportIntervals(report_s=0, checkpoint_s=0, result_wait_s=0),
    )
    first = claimed(store, leases)
    journal = ProgressReporter(first, leases, blobs, pace)
    for number in (5, 10, 20):
        journal.note(step(number))
    assert kept(journal.job, blobs) == [b"20", b"10"]
    blobs.path(journal.job.checkpoints[0]).write_bytes(b"")
    leases.release("w")

    second = leases.claim("w")
    assert second is not None
    assert newest_readable(second, blobs, reader) == 10
    journal = ProgressReporter(second, leases, blobs, pace)
    journal.note(step(12))
    assert kept(journal.job, blobs) == [b"12", b"10"]


def test_where_nothing_can_be_read_there_is_nothing(
    tmp_path: Path, store: JobStore, leases: JobQueue
) -> None:
    blobs = LocalStorage(tmp_path / "var")
    job = claimed(store, leases)
    assert newest_readable(job, blobs, reader) is None
    job = leases.keep(job, blobs.put("jobs/x/1/checkpoint-2", b"two"), "jobs/x/1/checkpoint-1")
    assert newest_readable(job, blobs, reader) is None
    assert not blobs.exists("jobs/x/1/checkpoint-2")


def test_clients_do_not_see_checkpoints(store: JobStore, leases: JobQueue) -> None:
    job = claimed(store, leases)
    assert leases.keep(job, "jobs/x/1/checkpoint-1", None).version == job.version


def test_a_checkpoint_that_cannot_be_read_for_now_is_kept(
    tmp_path: Path, store: JobStore, leases: JobQueue
) -> None:
    blobs = LocalStorage(tmp_path / "var")
    job = claimed(store, leases)
    newest, older = "jobs/x/1/checkpoint-2", "jobs/x/1/checkpoint-1"
    blobs.path(newest).mkdir(parents=True)  # no file to read
    job = leases.keep(job, newest, blobs.put(older, b"1"))
    assert newest_readable(job, blobs, reader) == 1
    assert blobs.exists(newest)
    blobs.delete(older)
    with pytest.raises(IsADirectoryError):
        newest_readable(job, blobs, reader)
    assert blobs.exists(newest)
