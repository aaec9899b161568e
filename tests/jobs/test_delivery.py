"""What a worker does when a broker names a job to it: once, again, late, or for nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from app.jobs.broker import BrokerDeliveries
from app.jobs.db.database import Database
from app.jobs.db.tables import job
from app.jobs.model import Fault, JobStatus
from app.jobs.queue import JobQueue
from app.jobs.store import JobStore
from tests.jobs.orders import order

POLL_S = 0.02


@pytest.fixture
def deliveries(queue: JobQueue) -> BrokerDeliveries:
    return BrokerDeliveries(queue, "mine", _reaping(queue), threading.Event(), POLL_S)


def _reaping(queue: JobQueue) -> Callable[[], None]:
    def reap() -> None:
        queue.reap()

    return reap


def test_next_job_in_order_is_claimed_for_any_message(
    store: JobStore, deliveries: BrokerDeliveries
) -> None:
    first, second = (store.create(order())[0] for _ in range(2))
    claimed = deliveries.claim(second.id, is_redelivered=False)
    assert claimed is not None
    assert (claimed.id, claimed.attempt, claimed.lease_owner) == (first.id, 1, "mine")
    assert store.find(second.id).status is JobStatus.QUEUED


@pytest.mark.parametrize("again_at", [0, None])
def test_a_job_whose_message_served_for_one_without_is_announced_again(
    store: JobStore,
    database: Database,
    deliveries: BrokerDeliveries,
    again_at: int | None,
) -> None:
    first, second = (store.create(order())[0] for _ in range(2))
    _announce(database, first.id, again_at)
    _announce(database, second.id, None)
    claimed = deliveries.claim(second.id, is_redelivered=False)
    assert claimed is not None
    assert claimed.id == first.id
    with database.read() as connection:
        found = select(job.c.announce_at).where(job.c.id == second.id)
        assert connection.execute(found).scalar_one() == again_at


def _announce(database: Database, job_id: str, again_at: int | None) -> None:
    with database.write() as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(announce_at=again_at))


def test_as_many_jobs_are_claimed_as_messages_come(store: JobStore, queue: JobQueue) -> None:
    ids = [store.create(order(f"owner {number % 3}"))[0].id for number in range(8)]
    at_once = threading.Barrier(8)

    def receive(number: int) -> str:
        mine = BrokerDeliveries(queue, f"w{number}", _reaping(queue), threading.Event(), POLL_S)
        at_once.wait()
        claimed = mine.claim(ids[0], is_redelivered=False)
        return claimed.id if claimed else "none"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(receive, range(8))) == sorted(ids)


@pytest.mark.parametrize("is_redelivered", [False, True])
def test_a_job_that_has_ended_or_is_unknown_is_left_alone(
    store: JobStore, deliveries: BrokerDeliveries, is_redelivered: bool
) -> None:
    made, _ = store.create(order())
    store.cancel(made.id)
    assert deliveries.claim(made.id, is_redelivered=is_redelivered) is None
    assert deliveries.claim("nobody's", is_redelivered=is_redelivered) is None


def test_a_job_that_waits_for_its_time_is_left_alone(
    store: JobStore, database: Database, deliveries: BrokerDeliveries
) -> None:
    store.create(order())
    later = JobQueue(database, 30, retry_s=60)
    mine = later.claim("other")
    assert mine is not None
    later.retry(mine, Fault("storage_failed", "try again"))
    assert deliveries.claim(mine.id, is_redelivered=True) is None


class NoWaiting(threading.Event):
    """An event that nobody may wait for."""

    def wait(self, timeout: float | None = None) -> bool:
        pytest.fail(f"something waits for {timeout} s")


def test_a_job_of_another_worker_is_left_to_it_at_once(store: JobStore, queue: JobQueue) -> None:
    deliveries = BrokerDeliveries(queue, "mine", _reaping(queue), NoWaiting(), POLL_S)
    made, _ = store.create(order())
    assert queue.claim("other")
    assert deliveries.claim(made.id, is_redelivered=False) is None


def test_a_holder_that_gives_a_sign_of_life_keeps_its_job(
    store: JobStore, queue: JobQueue, deliveries: BrokerDeliveries
) -> None:
    made, _ = store.create(order())
    held = queue.claim("other")
    assert held is not None
    left = threading.Event()

    def renew() -> None:
        while not left.wait(POLL_S):
            queue.renew(held)

    with ThreadPoolExecutor(1) as holder:
        renewing = holder.submit(renew)
        try:
            assert deliveries.claim(made.id, is_redelivered=True) is None
        finally:
            left.set()
        renewing.result()
    assert store.find(made.id).lease_owner == "other"


def test_a_job_whose_holder_died_is_taken_over_when_its_lease_lapses(
    store: JobStore, database: Database
) -> None:
    queue = JobQueue(database, 0.3, retry_s=1)
    deliveries = BrokerDeliveries(queue, "mine", _reaping(queue), threading.Event(), POLL_S)
    made, _ = store.create(order())
    held = queue.claim("dead")
    assert held is not None
    taken = deliveries.claim(made.id, is_redelivered=True)
    assert taken is not None
    assert (taken.attempt, taken.crashes, taken.lease_owner) == (2, 1, "mine")
    assert taken.claimed_at is not None
    assert held.lease_until is not None
    assert taken.claimed_at >= held.lease_until


def test_a_worker_that_stops_watches_no_longer(
    store: JobStore, queue: JobQueue, deliveries: BrokerDeliveries
) -> None:
    made, _ = store.create(order())
    assert queue.claim("other")
    threading.Timer(5 * POLL_S, deliveries.stopping.set).start()
    assert deliveries.claim(made.id, is_redelivered=True) is None
    assert deliveries.stopping.is_set()
