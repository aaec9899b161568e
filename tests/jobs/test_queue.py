"""The store as workers see it."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import update

from app.jobs.db.database import Database
from app.jobs.db.tables import job as job_table
from app.jobs.errors import ReplacedError
from app.jobs.model import Fault, Job, JobStatus, Progress
from app.jobs.queue import MAX_CRASHES, MAX_RETRIES, JobQueue, Outcome
from app.jobs.store import JobStore
from tests.jobs.conftest import LEASE_S
from tests.jobs.orders import order
from tests.service import wait_until

HALF = Progress(step=5, steps=10, size=64, content_loss=1.0, style_loss=2.0)
OUTCOME = Outcome("jobs/x/1/result.png", "jobs/x/1/preview.jpg", "jobs/x/1/painting")
PASSING = Fault("internal_error", "try again")


def claimed(queue: JobQueue) -> Job:
    job = queue.claim("w")
    assert job is not None
    return job


def test_a_claim_takes_the_job_once(store: JobStore, queue: JobQueue) -> None:
    new, _ = store.create(order())
    assert queue.has_work()
    mine = claimed(queue)
    assert (mine.id, mine.status, mine.attempt, mine.lease_owner) == (
        new.id,
        JobStatus.RUNNING,
        1,
        "w",
    )
    assert queue.claim("other") is None
    assert not queue.has_work()


def test_owners_take_turns(store: JobStore, queue: JobQueue) -> None:
    owners = [*["ann"] * 4, "bob", "eve", "bob"]
    for owner in owners:
        store.create(order(owner))
    turns = [claimed(queue).owner for _ in owners]
    assert turns == ["ann", "bob", "eve", "ann", "bob", "ann", "ann"]


def test_a_higher_priority_goes_first(store: JobStore, queue: JobQueue) -> None:
    store.create(order("ann"))
    urgent, _ = store.create(order("bob", priority=1))
    assert claimed(queue).id == urgent.id


def test_report_shows_progress_and_returns_requests(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    mine = claimed(queue)
    shown = queue.report(mine, HALF, 12.0, "jobs/x/1/preview.jpg")
    assert (shown.progress, shown.eta_s, shown.preview) == (HALF, 12.0, "jobs/x/1/preview.jpg")
    assert shown.version > mine.version
    store.cancel(mine.id)
    assert queue.report(mine, HALF, 11.0, None).cancel_requested


def test_a_finished_job_has_its_files_and_nothing_else(store: JobStore, queue: JobQueue) -> None:
    new, _ = store.create(order())
    mine = queue.keep(claimed(queue), "jobs/x/1/checkpoint-5", None)
    done = queue.finish(mine, HALF, OUTCOME)
    assert done.status is JobStatus.SUCCEEDED
    assert done.files() == {
        *new.inputs.values(),
        OUTCOME.result,
        OUTCOME.preview,
        OUTCOME.painting,
    }


def test_a_cancel_before_the_finish_wins(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    mine = claimed(queue)
    store.cancel(mine.id)
    ended = queue.finish(mine, HALF, OUTCOME)
    assert (ended.status, ended.result) == (JobStatus.CANCELLED, None)


def test_replaced_worker_cannot_write(store: JobStore, lapsing: JobQueue, queue: JobQueue) -> None:
    store.create(order())
    old = claimed(lapsing)
    assert [job.status for job in lapsing.reap()] == [JobStatus.QUEUED]
    new = claimed(queue)
    assert (new.attempt, new.crashes) == (2, 1)
    before = store.find(new.id)
    writes: list[Callable[[], Job]] = [
        lambda: queue.renew(old),
        lambda: queue.report(old, HALF, 1.0, "jobs/x/1/preview.jpg"),
        lambda: queue.keep(old, "jobs/x/1/checkpoint-5", None),
        lambda: queue.give_back(old),
        lambda: queue.retry(old, PASSING),
        lambda: queue.finish(old, HALF, OUTCOME),
        lambda: queue.cancel(old),
        lambda: queue.fail(old, PASSING),
    ]
    for write in writes:
        with pytest.raises(ReplacedError):
            write()
    assert store.find(new.id) == before


def test_only_a_lease_that_is_not_renewed_lapses(store: JobStore, database: Database) -> None:
    watching = JobQueue(database, 0.1, retry_s=0.1)
    store.create(order())
    mine = claimed(watching)
    wait_until(watching.has_work)
    watching.renew(mine)
    assert watching.reap() == []
    wait_until(watching.has_work)
    assert [job.id for job in watching.reap()] == [mine.id]


def test_a_job_that_kills_its_workers_fails(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    for _ in range(MAX_CRASHES - 1):
        claimed(queue)
        assert [job.status for job in queue.release("w")] == [JobStatus.QUEUED]
    mine = queue.report(claimed(queue), HALF, 1.0, "jobs/x/3/preview.jpg")
    (failed,) = queue.release("w")
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert failed.error.code == "worker_crashed"
    assert failed.files() == {mine.preview}


def test_progress_forgives_crashes(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    for number in range(MAX_CRASHES + 1):
        mine = claimed(queue)
        queue.keep(mine, f"jobs/x/{mine.attempt}/checkpoint-{number}", None)
        queue.release("w")
    assert store.find(mine.id).status is JobStatus.QUEUED


def test_giving_back_is_no_crash(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    for _ in range(MAX_CRASHES + 1):
        left = queue.give_back(claimed(queue))
    assert (left.status, left.crashes, left.lease_owner) == (JobStatus.QUEUED, 0, None)


def test_a_drain_that_takes_too_long_is_no_crash(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    for _ in range(MAX_CRASHES + 1):
        claimed(queue)
        (left,) = queue.release("w", crashed=False)
    assert (left.status, left.crashes, left.lease_owner) == (JobStatus.QUEUED, 0, None)


@pytest.mark.parametrize(
    "let_go",
    [
        lambda queue, mine: queue.give_back(mine),
        lambda queue, mine: queue.retry(mine, PASSING),
        lambda queue, mine: queue.finish(mine, HALF, OUTCOME),
    ],
)
def test_canceled_job_ends_when_its_worker_puts_it_back(
    store: JobStore, queue: JobQueue, let_go: Callable[[JobQueue, Job], Job]
) -> None:
    store.create(order())
    mine = claimed(queue)
    store.cancel(mine.id)
    assert let_go(queue, mine).status is JobStatus.CANCELLED


def test_temporary_error_is_retried_later(database: Database, store: JobStore) -> None:
    queue = JobQueue(database, LEASE_S, retry_s=3600)
    store.create(order())
    for _ in range(MAX_RETRIES):
        waiting = queue.retry(claimed(queue), PASSING)
        assert waiting.status is JobStatus.QUEUED
        assert queue.claim("w") is None
        with database.write() as connection:
            connection.execute(update(job_table).values(run_after=time.time() - 1))
    failed = queue.retry(claimed(queue), PASSING)
    assert (failed.status, failed.error) == (JobStatus.FAILED, PASSING)


def test_lost_job_with_a_requested_cancel_is_canceled(store: JobStore, queue: JobQueue) -> None:
    store.create(order())
    mine = claimed(queue)
    store.cancel(mine.id)
    assert [job.status for job in queue.release("w")] == [JobStatus.CANCELLED]
