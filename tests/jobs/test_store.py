"""The store as clients see it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from app.jobs.db.database import Database
from app.jobs.db.tables import job as table
from app.jobs.errors import (
    DatabaseUrlError,
    IdempotencyError,
    JobQueueFullError,
    JobStateError,
    StoreUnavailableError,
    UnknownJobError,
)
from app.jobs.model import Fault, JobStatus, Progress
from app.jobs.queue import JobQueue, Outcome
from app.jobs.store import JobStore
from app.jobs.worker_registry import RegisteredWorker, WorkerRegistry
from app.limits import QueueLimits
from tests.jobs.orders import order
from tests.service import ROOT

DONE = Progress(step=5, steps=5)


def test_a_new_job_waits_with_what_was_asked_for(store: JobStore) -> None:
    new = order(options={"size": 64, "layer_weights": [1.0, 2.0]}, request_id="r-1")
    job, created = store.create(new)
    assert created
    assert store.find(new.id, "ann") == job
    assert job.status is JobStatus.QUEUED
    assert job.options == {"size": 64, "layer_weights": [1.0, 2.0]}
    assert (job.attempt, job.version, job.request_id) == (0, 1, "r-1")


def test_a_job_is_its_owners_alone(store: JobStore) -> None:
    job, _ = store.create(order("ann"))
    for ask in (store.find, store.cancel, store.finish, store.remove):
        with pytest.raises(UnknownJobError):
            ask(job.id, "bob")
    assert store.find(job.id).status is JobStatus.QUEUED


def test_a_key_makes_one_job_for_its_owner(store: JobStore) -> None:
    first, _ = store.create(order(idempotency_key="k", fingerprint="f"))
    again, created = store.create(order(idempotency_key="k", fingerprint="f"))
    assert (again, created) == (first, False)
    other, created = store.create(order("bob", idempotency_key="k", fingerprint="f"))
    assert created
    assert other.id != first.id
    with pytest.raises(IdempotencyError):
        store.create(order(idempotency_key="k", fingerprint="another"))


def test_a_full_queue_refuses_one_owner_then_all(store: JobStore) -> None:
    for _ in range(5):
        store.create(order("ann"))
    with pytest.raises(JobQueueFullError, match="5 of your jobs"):
        store.create(order("ann"))
    for _ in range(5):
        store.create(order("bob"))
    with pytest.raises(JobQueueFullError, match="10 jobs"):
        store.check_room("eve")


def test_a_repeated_request_finds_its_job_in_a_full_queue(store: JobStore) -> None:
    first, _ = store.create(order(idempotency_key="k", fingerprint="f"))
    for _ in range(4):
        store.create(order())
    assert store.create(order(idempotency_key="k", fingerprint="f"))[0].id == first.id


def test_pages_are_newest_first_and_do_not_overlap(store: JobStore) -> None:
    ids = [store.create(order())[0].id for _ in range(5)]
    first = store.page("ann", limit=2)
    second = store.page("ann", limit=2, before=first[-1].number)
    assert [job.id for job in first + second] == ids[:0:-1]
    assert store.page("ann", limit=9, status=JobStatus.RUNNING) == []


def test_cancel_ends_a_waiting_job_and_drops_its_files(store: JobStore) -> None:
    job, _ = store.create(order())
    cancelled = store.cancel(job.id)
    assert cancelled.status is JobStatus.CANCELLED
    assert cancelled.files() == set()
    assert store.cancel(job.id) == cancelled


def test_cancel_asks_a_running_job(store: JobStore, queue: JobQueue) -> None:
    job, _ = store.create(order())
    queue.claim("w")
    asked = store.cancel(job.id)
    assert (asked.status, asked.cancel_requested) == (JobStatus.RUNNING, True)
    assert store.cancel(job.id) == asked


def test_a_finished_job_stays_as_it_is(store: JobStore, queue: JobQueue) -> None:
    job, _ = store.create(order())
    mine = queue.claim("w")
    assert mine is not None
    done = queue.finish(mine, DONE, Outcome("jobs/x/1/result.png"))
    assert store.cancel(job.id) == done
    assert store.finish(job.id) == done
    assert store.remove(job.id) == done
    with pytest.raises(UnknownJobError):
        store.find(job.id)


def test_refused_finish_or_removal_is_explained(store: JobStore, queue: JobQueue) -> None:
    job, _ = store.create(order())
    with pytest.raises(JobStateError, match="queued"):
        store.remove(job.id)
    mine = queue.claim("w")
    assert mine is not None
    queue.fail(mine, Fault("invalid_job", "no"))
    with pytest.raises(JobStateError, match="failed"):
        store.finish(job.id)


def test_outlooks_follow_the_queue(store: JobStore, queue: JobQueue) -> None:
    running, first, second, other = (
        store.create(order(owner, estimate_s=seconds))[0].id
        for owner, seconds in (("ann", 9), ("ann", 10), ("ann", 20), ("bob", 1))
    )
    mine = queue.claim("w")
    assert mine is not None
    assert mine.id == running
    queue.report(mine, Progress(1, 5), eta_s=3.0, preview=None)
    queue_positions = store.queue_positions()
    assert {key: (each.position, each.eta_s) for key, each in queue_positions.items()} == {
        other: (1, 4.0),  # ann was served
        first: (2, 14.0),
        second: (3, 34.0),
    }


def test_outlooks_count_on_every_worker_that_is_alive(database: Database, queue: JobQueue) -> None:
    worker_registry = WorkerRegistry(database, lease_s=30)
    store = JobStore(database, QueueLimits(10, 10), worker_registry)
    for name in ("w1", "w2", "w3"):
        worker_registry.join(RegisteredWorker(name, "cpu", "float32", 1, None))
    worker_registry.leave("w3")
    waits = (9, 10, 20, None, 5, 5)
    ids = [store.create(order(estimate_s=seconds))[0].id for seconds in waits]
    assert queue.claim("w1") is not None
    queue_positions = store.queue_positions()
    etas = [queue_positions[job_id].eta_s for job_id in ids[1:]]
    assert etas == [10, 29, None, 34, 39]


def test_a_locked_database_is_unavailable_for_now(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    database = Database(f"sqlite:///{path}", timeout_s=0.1)
    database.migrate()
    store = JobStore(database, QueueLimits(10, 10))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        store.create(order())
    with pytest.raises(StoreUnavailableError, match="locked"):
        store.find("x")
    other.execute("ROLLBACK")
    other.close()
    assert store.create(order())[1]
    database.close()


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="unable to open"):
        Database(f"sqlite:///{tmp_path / 'no' / 'such.db'}", 1).migrate()


def test_jobs_of_a_newer_version_are_left_alone(
    database: Database, store: JobStore, queue: JobQueue
) -> None:
    mine, theirs, also_mine = (store.create(order())[0] for _ in range(3))
    with database.write() as connection:
        connection.execute(update(table).where(table.c.id == theirs.id).values(kind="animate"))
    assert store.page(limit=10) == [also_mine, mine]
    assert store.find_many([theirs.id, mine.id]) == [mine]
    assert theirs.id not in store.queue_positions()
    with pytest.raises(UnknownJobError):
        store.find(theirs.id)
    assert [queue.claim("w").id for _ in range(2)] == [mine.id, also_mine.id]  # type: ignore[union-attr]
    assert not queue.has_work()
    assert queue.claim("w") is None


def test_a_row_that_cannot_be_read_does_not_keep_the_database_locked(
    database: Database, store: JobStore, database_url: str
) -> None:
    jobs = [store.create(order())[0] for _ in range(4)]
    with database.write() as connection:
        connection.execute(update(table).where(table.c.id == jobs[1].id).values(status="lost"))
    with pytest.raises(ValueError, match="lost") as kept:
        store.page(limit=10)
    other = Database(database_url, timeout_s=0.1)
    assert JobStore(other, QueueLimits(10, 10)).create(order())[1]
    other.close()
    assert kept.value


@pytest.mark.parametrize(
    "url",
    [
        "",
        "foo",
        "sqlite",
        "nosuch://x/y",
        "postgresql+nosuch://x/y",
        "mysql://me:secret@x/y",
        "postgresql://me:1@secret@x/y",
        "postgresql://me@x:secret/y",
    ],
)
def test_invalid_database_url_is_explained(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="ATELIER_DATABASE_URL") as refused:
        Database(url, 1)
    assert "secret" not in str(refused.value)


def test_without_its_driver_postgresql_is_refused_with_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from app.jobs.db.database import Database; Database('postgresql://me:secret@x/y', 1)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "DatabaseUrlError" in ran.stderr
    assert "pip install 'atelier[fleet]'" in ran.stderr
    assert "secret" not in ran.stderr.splitlines()[-1]
