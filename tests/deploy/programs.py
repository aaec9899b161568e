"""Programs of others that tests run."""

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """Return the path of a program. Without it a test is skipped; in CI it fails."""
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"needs {name}: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
