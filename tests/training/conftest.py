"""Fixtures for the tests of training."""

import pytest
import torch

_DEVICES = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def pytest_runtest_setup() -> None:
    """Use one thread: on a busy machine, more spend their time waiting for each other."""
    torch.set_num_threads(1)


@pytest.fixture(params=_DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device of this host in turn."""
    return torch.device(request.param)
