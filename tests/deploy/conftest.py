"""An image as the Dockerfile makes it, without a container engine."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import Build, Image


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The CPU-only image. Without the rights to mount a test is skipped; in CI it fails."""
    may_mount = subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0
    if os.geteuid() != 0 or not may_mount:
        reason = "needs root, and the right to mount"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    pip = _pip_settings()
    index = pip.get("PIP_INDEX_URL", "https://pypi.org/simple")
    shared = tuple({path for text in pip.values() for path in _paths(text)})
    with tempfile.TemporaryDirectory(prefix="atelier-image-") as folder:
        arguments = {"VARIANT": "cpu", "TORCH_INDEX": index}
        build = Build(Path(folder), arguments, pip | _proxies(), shared)
        yield build.run()


def _pip_settings() -> dict[str, str]:
    """This host's configuration of pip, as environment variables."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    return {f"PIP_{name.replace('-', '_').upper()}": value for name, value in found}


def _proxies() -> dict[str, str]:
    return {name: each for name, each in os.environ.items() if name.lower().endswith("_proxy")}


def _paths(text: str) -> Iterator[Path]:
    """Files and folders that a setting names; an index has its packages beside it."""
    for word in text.split():
        if word.startswith(("/", "file://")):
            path = Path(word.removeprefix("file://"))
            yield path.parent if path.name == "simple" else path
