"""What callers have used, counted in the database."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from app.jobs.db.database import Database
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.db.tables import rate_limiter


@pytest.fixture
def counts(database: Database) -> DatabaseStorage:
    return DatabaseStorage(database)


def let_pass(database: Database, seconds: float) -> None:
    with database.write() as connection:
        connection.execute(update(rate_limiter).values(ends_at=rate_limiter.c.ends_at - seconds))


def test_each_key_has_its_sum(counts: DatabaseStorage) -> None:
    assert counts.get("ann") == 0
    assert [counts.incr("ann", 60), counts.incr("ann", 60, 5), counts.incr("bob", 60)] == [1, 6, 1]
    assert (counts.get("ann"), counts.get("bob")) == (6, 1)
    assert 50 < counts.get_expiry("ann") - time.time() <= 60


def test_a_sum_begins_anew_when_its_time_is_over(
    database: Database, counts: DatabaseStorage
) -> None:
    counts.incr("ann", 7200, 7)
    let_pass(database, 3600)
    assert counts.incr("ann", 7200) == 8
    assert counts.get_expiry("ann") - time.time() <= 3600
    let_pass(database, 3601)
    assert counts.get("ann") == 0
    assert counts.incr("ann", 7200, 2) == 2
    assert counts.get_expiry("ann") - time.time() > 3600


def test_sums_are_forgotten_when_asked(counts: DatabaseStorage) -> None:
    for key in ("ann", "bob", "cid"):
        counts.incr(key, 60)
    counts.clear("ann")
    assert [counts.get(key) for key in ("ann", "bob")] == [0, 1]
    assert counts.reset() == 2
    assert counts.get("bob") == 0
    assert counts.check()


def test_concurrent_counts_are_not_lost(counts: DatabaseStorage) -> None:
    together = threading.Barrier(8)

    def count(_: int) -> list[int]:
        together.wait()
        return [counts.incr("ann", 60) for _ in range(10)]

    with ThreadPoolExecutor(8) as threads:
        seen = [each for part in threads.map(count, range(8)) for each in part]
    assert sorted(seen) == list(range(1, 81))
