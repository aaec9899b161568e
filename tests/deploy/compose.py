"""Compose files as docker-compose understands them."""

import os
import re
import subprocess
import tempfile
from typing import Any

import yaml

from tests.deploy.programs import program
from tests.service import ROOT

_UNITS = {"s": 1, "m": 60}


def compose(*files: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config`."""
    docker_compose = program("docker-compose", package="docker-compose")
    options = [word for file in files for word in ("--file", file)]
    with tempfile.NamedTemporaryFile() as empty:  # in the place of .env
        return subprocess.run(
            [docker_compose, "--env-file", empty.name, *options, "config"],
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
