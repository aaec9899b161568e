"""Fixtures that every part of the suite may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import hypothesis
import pytest

from tests import http_client
from tests.fleet.postgres import PostgresServer, find_binaries, running_server
from tests.patience import patient
from tests.service import MODELS, Service, running_service

_ARCHIVES = ("mnist/train-images-idx3-ubyte.gz", "cifar10.zip", "catdog.zip")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scale the time that each test may take to this host."""
    usual_s = float(config.getini("timeout"))
    for item in items:
        given = item.get_closest_marker("timeout")
        seconds = given.args[0] if given else usual_s
        item.add_marker(pytest.mark.timeout(patient(seconds)), append=False)


hypothesis.settings.register_profile(
    "atelier", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("atelier")  # which measures no time


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs under test, even where a shell runs the tests with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real data sets. Without it a test is skipped; in CI it fails."""
    default = Path(__file__).parents[1] / "data"
    folder = Path(os.environ.get("ATELIER_DATASETS", default)).absolute()
    missing = [name for name in _ARCHIVES if not (folder / name).exists()]
    if missing:
        miss(f"needs {', '.join(missing)} in {folder}; set ATELIER_DATASETS")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, shared by all tests. Without one a test is skipped; in CI it fails."""
    if find_binaries() is None:
        miss("needs PostgreSQL: install the package postgresql")
    with running_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """The shared server, running whatever an earlier test did to it."""
    postgres_server.ensure_running()
    return postgres_server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database on the shared server."""
    url = postgres.new_database()
    yield url
    postgres.drop(url)


def miss(reason: str) -> NoReturn:
    """Skip a test for want of something; in CI it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service with the shipped checkpoints, shared by all tests that do not stop it."""
    with running_service(tmp_path_factory.mktemp("service"), models_dir=MODELS) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """An HTTP client of the shared service."""
    with http_client.connect(base_url=service.url) as opened:
        yield opened
