"""Servers and a fleet that the tests of a module share."""

from collections.abc import Iterator

import pytest

from app.jobs.db.database import Database
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.conftest import miss
from tests.fleet.brokers import KINDS, BrokerServer, is_installed, running_broker
from tests.fleet.door import Door
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.postgres import PostgresServer
from tests.fleet.s3 import BUCKET, environment, running_store
from tests.patience import patient

STORE_TIMEOUT_S = patient(2)


@pytest.fixture(scope="module", params=list(KINDS))
def broker_server(request: pytest.FixtureRequest) -> Iterator[BrokerServer]:
    """Each kind of broker."""
    if not is_installed(request.param):
        miss(f"needs {request.param}-server, as `apt-get install {request.param}-server` brings it")
    with running_broker(request.param) as running:
        yield running


@pytest.fixture
def broker(broker_server: BrokerServer) -> BrokerServer:
    """The broker of the module, running whatever an earlier test did to it."""
    broker_server.ensure_running()
    return broker_server


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """A new database with the service's tables."""
    opened = Database(postgres_url, STORE_TIMEOUT_S)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database, QueueLimits(1000, 1000))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """An object store with one bucket."""
    with running_store(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_fleet(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    broker_server: BrokerServer,
    door: Door,
) -> Iterator[Fleet]:
    """Two web processes and two workers."""
    database = postgres_server.new_database()
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        variables=environment(door),
        database_url=database,
        broker_url=broker_server.url,
        blobs_url=f"s3://{BUCKET}/files",
        blobs_timeout_s=patient(0.5),
    ) as running:
        yield running
    postgres_server.drop(database)


@pytest.fixture
def fleet(shared_fleet: Fleet, broker: BrokerServer, postgres: PostgresServer) -> Fleet:
    """The fleet of the module and its servers, complete whatever an earlier test did to them."""
    assert broker.is_running()
    assert postgres.is_running()
    shared_fleet.repair()
    return shared_fleet
