"""Servers and a fleet that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.conftest import miss
from tests.fleet.brokers import KINDS, BrokerServer, is_installed, running_broker
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.postgres import PostgresServer


@pytest.fixture(scope="module", params=list(KINDS))
def broker(request: pytest.FixtureRequest) -> Iterator[BrokerServer]:
    """Each kind of broker."""
    if not is_installed(request.param):
        miss(f"needs {request.param}-server, as `apt-get install {request.param}-server` brings it")
    with running_broker(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, broker: BrokerServer
) -> Iterator[Fleet]:
    """Two web processes and two workers; who kills one starts another."""
    folder = tmp_path_factory.mktemp("fleet")
    database = postgres.new_database()
    with running_fleet(folder, database_url=database, broker_url=broker.url) as running:
        yield running
    postgres.drop(database)
