"""Compose files as docker-compose understands them."""

import os
import re
import shutil
import subprocess
import tempfile
from typing import Any

import pytest
import yaml

from tests.service import ROOT

_UNITS = {"s": 1, "m": 60}


def compose(*files: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config`. Without it a test is skipped; in CI it fails."""
    program = shutil.which("docker-compose")
    if program is None:
        reason = "needs docker-compose: apt-get install docker-compose"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = [word for file in files for word in ("--file", file)]
    with tempfile.NamedTemporaryFile() as empty:  # in the place of .env
        return subprocess.run(
            [program, "--env-file", empty.name, *options, "config"],
            check=False,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]} | variables,
            capture_output=True,
            text=True,
        )


def services(*files: str, **variables: str) -> dict[str, dict[str, Any]]:
    """The services that some files make together, with variables as from `.env`."""
    result = compose("docker-compose.yml", *files, **variables)
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = yaml.safe_load(result.stdout)["services"]
    return found


def seconds(text: str) -> int:
    """Read a duration such as `1m30s`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([sm])", text))
