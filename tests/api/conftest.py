"""A service that is easily exhausted."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import http_client
from tests.patience import patient
from tests.service import Service, running_service

UPLOAD_S = patient(3)
STALL_S = patient(1)
HEAD_S = patient(1)


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits, so that tests reach them quickly."""
    limits: dict[str, Any] = {
        "max_image_bytes": 100_000,
        "max_request_bytes": 300_000,
        "max_upload_bytes": 400_000,
        "max_request_files": 8,
        "upload_stall_s": patient(),
    }
    with running_service(tmp_path_factory.mktemp("strict"), **limits) as service:
        yield service


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for its clients no longer than tests can wait."""
    limits: dict[str, Any] = {
        "upload_timeout_s": UPLOAD_S,
        "upload_stall_s": STALL_S,
        "head_timeout_s": HEAD_S,
    }
    with running_service(tmp_path_factory.mktemp("impatient"), **limits) as service:
        yield service


@pytest.fixture
def strict_client(strict: Service) -> Iterator[httpx.Client]:
    with http_client.connect(base_url=strict.url) as client:
        yield client
