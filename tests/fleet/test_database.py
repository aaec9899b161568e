"""The job database on a server that is used by many, restarts, hangs, or refuses us."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TypeVar

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from app.jobs.db.database import Database
from app.jobs.errors import JobQueueFullError, QuotaError, StoreUnavailableError
from app.jobs.model import JobStatus, Progress
from app.jobs.queue import JobQueue
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.fleet.conftest import STORE_TIMEOUT_S
from tests.fleet.postgres import PASSWORD, PostgresServer
from tests.jobs.orders import order
from tests.patience import patient

pytestmark = pytest.mark.fleet

T = TypeVar("T")

THREADS = 16


def at_once(act: Callable[[int], T], count: int = THREADS) -> list[T]:
    """Do something in so many threads, in the same instant."""
    together = threading.Barrier(count)

    def one(number: int) -> T:
        together.wait()
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def amidst(database: Database, act: Callable[[Connection], object]) -> None:
    """Do something between two statements of a transaction; it may take as long as one of them."""
    with database.write() as connection:
        connection.exec_driver_sql("SELECT 1")
        act(connection)
        connection.exec_driver_sql("SELECT 2")


def test_number_of_waiting_jobs_is_limited(database: Database) -> None:
    store = JobStore(database, QueueLimits(in_all=10, per_owner=4))

    def submit(number: int) -> int:
        made = 0
        for _ in range(3):
            try:
                made += store.create(order(f"owner {number % 3}"))[1]
            except JobQueueFullError:
                continue
        return made

    assert sum(at_once(submit)) == 10
    owners = [job.owner for job in store.page(limit=100)]
    assert max(owners.count(owner) for owner in owners) == 4


def test_stored_bytes_are_limited(database: Database) -> None:
    store = JobStore(database, QueueLimits(1000, 1000, bytes_per_owner=100))

    def submit(_: int) -> bool:
        try:
            return store.create(order(stored_bytes=30))[1]
        except QuotaError:
            return False

    assert sum(at_once(submit)) == 3


def test_one_key_makes_one_job(store: JobStore) -> None:
    made = at_once(lambda _: store.create(order(idempotency_key="k", fingerprint="f")))
    assert [created for _, created in made].count(True) == 1
    assert len({job.id for job, _ in made}) == 1


def test_every_job_has_one_worker(database: Database, store: JobStore) -> None:
    queue = JobQueue(database, 30, 0.1)
    for number in range(20):
        store.create(order(f"owner {number % 4}"))

    def work(number: int) -> list[str]:
        claimed = []
        while queue.has_work():
            job = queue.claim(f"w{number}")
            if job is not None:
                claimed.append(job.id)
        return claimed

    claimed = [job_id for part in at_once(work, 8) for job_id in part]
    assert len(claimed) == len(set(claimed)) == 20


def test_a_lapsed_job_is_lost_once(database: Database, store: JobStore) -> None:
    lapsing = JobQueue(database, -1, 0.1)
    for _ in range(10):
        store.create(order())
        lapsing.claim("w")
    lost = [job for part in at_once(lambda _: lapsing.reap()) for job in part]
    assert len(lost) == len({job.id for job in lost}) == 10
    assert {job.crashes for job in lost} == {1}


def test_a_cancel_is_not_lost_between_two_workers(database: Database, store: JobStore) -> None:
    """However it meets a job that goes back and forth, the job ends, or is told to."""
    queue = JobQueue(database, 30, 0.1)

    def hand_on() -> None:
        while (mine := queue.claim("w")) is not None:
            queue.give_back(mine)

    for _ in range(100):
        job = store.create(order())[0]
        with ThreadPoolExecutor(1) as threads:
            handing = threads.submit(hand_on)
            time.sleep(0.01)
            cancelled = store.cancel(job.id)
            handing.result()
        assert cancelled.status is JobStatus.CANCELLED or cancelled.cancel_requested
        assert store.find(job.id).status is JobStatus.CANCELLED


def test_a_restart_costs_nothing_but_its_time(
    postgres: PostgresServer, database: Database, store: JobStore
) -> None:
    job, _ = store.create(order())
    queue = JobQueue(database, 30, 0.1)
    mine = queue.claim("w")
    assert mine is not None
    with (
        postgres.stopped("immediate"),
        pytest.raises(StoreUnavailableError, match="does not answer") as refused,
    ):
        store.find(job.id)
    assert PASSWORD not in str(refused.value)
    assert queue.report(mine, Progress(1, 5), 1.0, None).version == mine.version + 1
    postgres.restart("fast")
    assert store.find(job.id).progress == Progress(1, 5)


def test_connection_lost_during_a_query_is_a_temporary_error(
    database: Database, postgres_url: str
) -> None:
    def end(connection: Connection) -> None:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))

    with pytest.raises(StoreUnavailableError, match=r"terminating connection|closed"):
        amidst(database, end)
    assert database.identity()


def test_a_value_that_no_column_can_hold_is_no_fault_of_the_server(store: JobStore) -> None:
    with pytest.raises(DataError):
        store.find("\0")


def test_hanging_server_is_not_waited_for(postgres: PostgresServer, store: JobStore) -> None:
    job, _ = store.create(order())
    with postgres.hanging():
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                store.find(job.id)
    assert store.find(job.id).id == job.id


def test_server_that_hangs_during_a_query_is_not_waited_for(
    postgres: PostgresServer, database: Database
) -> None:
    with ExitStack() as hanging:
        with pytest.raises(StoreUnavailableError):
            amidst(database, lambda _: hanging.enter_context(postgres.hanging()))
        with pytest.raises(StoreUnavailableError):
            database.identity()
    assert database.identity()


def test_a_lock_is_waited_for_no_longer_than_allowed(store: JobStore, postgres_url: str) -> None:
    job, _ = store.create(order())
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT * FROM job FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="timeout"):
            store.cancel(job.id)
        assert time.monotonic() - started > STORE_TIMEOUT_S / 2
        other.rollback()
    assert store.cancel(job.id).status is JobStatus.CANCELLED


def test_deadlock_is_a_temporary_error(database: Database) -> None:
    store = JobStore(database, QueueLimits(10, 10))
    first, second = (store.create(order())[0].id for _ in range(2))
    halfway = threading.Barrier(2)

    def change(ids: tuple[str, str]) -> str:
        try:
            with database.write() as connection:
                for job_id in ids:
                    connection.exec_driver_sql(
                        "UPDATE job SET priority = 1 WHERE id = %s", (job_id,)
                    )
                    if job_id == ids[0]:
                        halfway.wait()
        except StoreUnavailableError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as threads:
        said = sorted(threads.map(change, [(first, second), (second, first)]))
    assert said[0] == "done"
    assert "deadlock" in said[1] or "timeout" in said[1]


def test_a_process_that_stops_in_a_transaction_does_not_hold_its_locks(
    database: Database, store: JobStore, postgres_url: str
) -> None:
    job, _ = store.create(order())

    def wait_for_the_lock(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT * FROM job FOR UPDATE")
        with psycopg.connect(postgres_url) as other:
            other.execute(f"SET lock_timeout = '{patient(30):.0f}s'")
            other.execute("SELECT * FROM job FOR UPDATE")

    with pytest.raises(StoreUnavailableError):
        amidst(database, wait_for_the_lock)
    assert store.cancel(job.id).status is JobStatus.CANCELLED


@pytest.mark.parametrize("change", ["password", "name"])
def test_error_about_a_database_url_does_not_show_the_password(
    postgres_url: str, change: str
) -> None:
    url = postgres_url + "x" if change == "name" else postgres_url.replace("a-password", "other")
    with pytest.raises(StoreUnavailableError, match=r"does not exist|authentication") as refused:
        Database(url, STORE_TIMEOUT_S).migrate()
    assert PASSWORD not in str(refused.value)
    assert "other" not in str(refused.value)


def test_an_older_way_to_write_the_address_is_understood(postgres_url: str) -> None:
    older = postgres_url.replace("postgresql://", "postgres://")
    database = Database(
        f"{older}?application_name=mine&options=-c%20lock_timeout%3D77", STORE_TIMEOUT_S
    )
    with closing(database), database.read() as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar() == "mine"
        for name, value_ms in (
            ("lock_timeout", 77),
            ("statement_timeout", round(STORE_TIMEOUT_S * 1000)),
        ):
            query = "SELECT setting FROM pg_settings WHERE name = %s"
            assert connection.exec_driver_sql(query, (name,)).scalar() == str(value_ms)
