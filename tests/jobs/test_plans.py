"""The plans of the queries that run all the time: none of them reads jobs that it does not use."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from app.jobs.db.database import Database
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.model import Job, JobKind, JobStatus, Progress
from app.jobs.queue import JobQueue, Outcome
from app.jobs.storage.local import LocalStorage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.jobs.orders import fill, order

FINISHED = 3000
_WHOLE = re.compile(r"SCAN job\b|Seq Scan on job\b")  # SQLite, also of a whole index; PostgreSQL
_SORTED = re.compile(r"USE TEMP B-TREE FOR ORDER BY")
_OF_OWNERS = re.compile(r"job_by_(?!status\b)|(SCAN|Seq Scan on) job\b")

Statement = tuple[str, Any]


@pytest.fixture
def full_store(database: Database) -> JobStore:
    """A store with many finished jobs of one caller, and few of another."""
    fill(database, "ann", FINISHED)
    fill(database, "bob", 3)
    limits = QueueLimits(10, 10, bytes_per_owner=10**9, kept_s=60)
    if database.is_shared:
        with database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
    return JobStore(database, limits)


def claim(queue: JobQueue) -> Job:
    claimed = queue.claim("w")
    assert claimed is not None
    return claimed


@contextmanager
def noted(statements: list[Statement]) -> Iterator[None]:
    """Note what is executed."""

    def note(_: Connection, _cursor: object, statement: str, values: Any, *_rest: object) -> None:
        statements.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def plan(database: Database, statement: Statement) -> str:
    explain = "EXPLAIN " if database.is_shared else "EXPLAIN QUERY PLAN "
    with database.read() as connection:
        rows = connection.exec_driver_sql(explain + statement[0], statement[1]).all()
    return "\n".join(str(row[-1]) for row in rows)


def check(
    database: Database, act: Callable[[], object], unwanted: re.Pattern[str] = _WHOLE
) -> None:
    """Do something, and find nothing unwanted in the plan of any statement of it."""
    statements: list[Statement] = []
    with noted(statements):
        act()
    queries = [each for each in statements if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    assert queries
    for each in queries:
        found = plan(database, each)
        assert not unwanted.search(found), f"{each[0]}\n{found}"


def pages(store: JobStore, owner: str) -> list[Callable[[], object]]:
    failed = JobStatus.FAILED
    return [
        lambda: store.page(owner, limit=20),
        lambda: store.page(owner, limit=20, before=FINISHED),
        lambda: store.page(owner, limit=20, status=JobStatus.QUEUED),
        lambda: store.page(owner, limit=20, kind=JobKind.EVALUATE),
        lambda: store.page(owner, limit=20, kind=JobKind.EVALUATE, status=failed),
    ]


@pytest.mark.parametrize("owner", ["ann", "bob", "eve"])
def test_no_query_of_a_caller_reads_all_jobs(
    database: Database, full_store: JobStore, owner: str
) -> None:
    made = full_store.create(order(owner, idempotency_key="k", fingerprint="f"))[0]
    for act in (
        *pages(full_store, owner),
        lambda: full_store.find(made.id, owner),
        lambda: full_store.find_many([made.id]),
        lambda: full_store.knows(owner, "k"),
        lambda: full_store.made_before(owner, "k", "f"),
        full_store.longest_wait_s,
        full_store.queue_positions,
    ):
        check(database, act)


@pytest.mark.parametrize("owner", ["ann", "bob"])
def test_a_page_of_jobs_is_not_sorted(database: Database, full_store: JobStore, owner: str) -> None:
    for page in pages(full_store, owner):
        check(database, page, _SORTED)


def test_no_query_of_a_worker_reads_all_jobs(
    database: Database, full_store: JobStore, queue: JobQueue, lapsing: JobQueue
) -> None:
    check(database, lambda: full_store.check_room("bob"))
    check(database, lambda: full_store.create(order("bob")))
    check(database, queue.has_work)
    check(database, lambda: claim(queue))
    check(database, lambda: queue.release("w"))
    check(database, lapsing.reap)
    mine = claim(queue)
    check(database, lambda: queue.renew(mine))
    check(database, lambda: queue.report(mine, Progress(1, 9), 1.0, None))
    check(database, lambda: queue.finish(mine, Progress(9, 9), Outcome("r")))
    check(database, lambda: full_store.cancel(mine.id))
    check(database, lambda: full_store.remove(mine.id))


def test_next_job_is_found_without_reading_finished_jobs(
    database: Database, full_store: JobStore, queue: JobQueue
) -> None:
    for owner in ("ann", "bob"):
        full_store.create(order(owner))
    for act in (queue.has_work, full_store.queue_positions, lambda: claim(queue)):
        check(database, act, _OF_OWNERS)


def test_a_tick_with_nothing_to_do_looks_at_no_jobs(
    database: Database, full_store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    spool, retention = Spool(storage.path("")), Retention(1e6, 1e6, 1e6, FINISHED)
    maintenance = Maintenance(database, queue, storage, spool, retention)
    maintenance.tick()
    assert full_store.counts()[JobStatus.SUCCEEDED] == FINISHED + 3
    if database.is_shared:
        with database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
    check(database, maintenance.tick)
