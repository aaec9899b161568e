"""The protocol's own client."""

from collections.abc import Iterator

import pytest
import tritonclient.http as triton

from tests.service import Service


@pytest.fixture
def protocol(service: Service) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client, of the shared service."""
    with triton.InferenceServerClient(service.url.removeprefix("http://")) as opened:
        yield opened
