"""A service that is easily exhausted."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service import Service, running_service


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits, so that tests reach them quickly."""
    limits = {
        "max_image_bytes": 100_000,
        "max_request_bytes": 300_000,
        "max_upload_bytes": 400_000,
        "max_request_files": 8,
        "upload_timeout_s": 5,
        "upload_stall_s": 2,
    }
    with running_service(tmp_path_factory.mktemp("strict"), **limits) as service:
        yield service


@pytest.fixture
def strict_client(strict: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=strict.url, timeout=30) as client:
        yield client
