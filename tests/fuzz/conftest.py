"""Options of `make test-fuzz`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-seed", type=int, default=1, help="what the requests are drawn from")
    group.addoption("--fuzz-seconds", type=int, help="go on for so long (default: one round)")
