"""A real store in a file, and jobs to put into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.db.database import Database
from app.jobs.queue import JobQueue
from app.jobs.storage.local import LocalStorage
from app.jobs.store import JobStore
from app.limits import QueueLimits

LEASE_S = 30.0


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.fleet)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'atelier.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, timeout_s=5)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database, QueueLimits(in_all=10, per_owner=5))


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database, LEASE_S, retry_s=0.2)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "var")


@pytest.fixture
def lapsing(database: Database) -> JobQueue:
    """Leases that have lapsed as soon as they are given."""
    return JobQueue(database, -1, retry_s=0.01)
