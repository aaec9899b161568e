"""Fixtures that every part of the suite may use."""

import os
from pathlib import Path

import pytest

_ARCHIVES = ("mnist/train-images-idx3-ubyte.gz", "cifar10.zip")


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real data sets. Without it a test is skipped; in CI it fails."""
    default = Path(__file__).parents[1] / "data"
    folder = Path(os.environ.get("ATELIER_DATASETS", default)).absolute()
    missing = [name for name in _ARCHIVES if not (folder / name).exists()]
    if not missing:
        return folder
    reason = f"needs {', '.join(missing)} in {folder}; set ATELIER_DATASETS"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
