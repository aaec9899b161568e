"""A broker hears of every job that waits, however often it forgets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.jobs.broker import BrokerPublisher
from app.jobs.db.database import Database
from app.jobs.model import Fault
from app.jobs.queue import JobQueue
from app.jobs.store import JobStore
from app.runtime.celery_broker import BrokerOptions, CeleryBroker
from tests.fleet.brokers import BrokerServer
from tests.jobs.orders import order
from tests.patience import patient

pytestmark = pytest.mark.fleet


@pytest.fixture
def empty_broker(broker: BrokerServer) -> BrokerServer:
    broker.take_all()
    return broker


@pytest.fixture
def publisher(database: Database, empty_broker: BrokerServer) -> Iterator[BrokerPublisher]:
    carrier = _carrier(empty_broker)
    yield BrokerPublisher(database, carrier, again_s=60)
    carrier.close()


def _carrier(broker: BrokerServer) -> CeleryBroker:
    return CeleryBroker(BrokerOptions(broker.url, timeout_s=patient(1), time_limit_s=60))


def test_higher_priorities_come_first(
    store: JobStore, publisher: BrokerPublisher, empty_broker: BrokerServer
) -> None:
    priorities = [0, 5, 9, 12, -1]
    ids = [store.create(order(priority=priority))[0].id for priority in priorities]
    publisher.announce()
    first, last = empty_broker.take_all()[:2], [ids[0], ids[4]]
    assert set(first) == {ids[2], ids[3]}
    assert not set(last) & set(first)


def test_every_job_is_announced_once(
    store: JobStore, database: Database, empty_broker: BrokerServer
) -> None:
    ids = [store.create(order())[0].id for _ in range(250)]
    carriers = [_carrier(empty_broker) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for carrier in carriers:
            pool.submit(BrokerPublisher(database, carrier, again_s=60).announce)
    for carrier in carriers:
        carrier.close()
    assert sorted(empty_broker.take_all()) == sorted(ids)


def test_a_job_that_goes_back_to_the_queue_is_announced_when_its_time_has_come(
    store: JobStore, database: Database, publisher: BrokerPublisher, empty_broker: BrokerServer
) -> None:
    queue = JobQueue(database, 30, retry_s=0)
    store.create(order())
    publisher.announce()
    mine = queue.claim("w")
    assert mine is not None
    publisher.announce()
    assert empty_broker.take_all() == [mine.id]
    queue.retry(mine, Fault("storage_failed", "try again"))
    publisher.announce()
    assert empty_broker.take_all() == [mine.id]
    mine = queue.claim("w")
    assert mine is not None
    JobQueue(database, 30, retry_s=60).retry(mine, Fault("storage_failed", "try again"))
    publisher.announce()
    assert empty_broker.take_all() == []


def test_jobs_are_announced_once_the_broker_is_back(
    store: JobStore, database: Database, empty_broker: BrokerServer
) -> None:
    carrier = _carrier(empty_broker)
    publisher = BrokerPublisher(database, carrier, again_s=0)
    ids = [store.create(order())[0].id for _ in range(3)]
    with empty_broker.hanging():
        publisher.announce()
        publisher.recover()
    publisher.announce()
    assert set(empty_broker.take_all()) == set(ids)
    carrier.close()


def test_jobs_lost_by_the_broker_are_announced_again(
    store: JobStore, publisher: BrokerPublisher, empty_broker: BrokerServer
) -> None:
    ids = [store.create(order())[0].id for _ in range(3)]
    publisher.announce()
    publisher.recover()
    publisher.recover()
    publisher.announce()
    assert empty_broker.waiting() == 3
    empty_broker.purge()
    publisher.recover()  # a worker may have received them just now
    publisher.announce()
    assert empty_broker.waiting() == 0
    publisher.recover()
    publisher.announce()
    assert sorted(empty_broker.take_all()) == sorted(ids)
