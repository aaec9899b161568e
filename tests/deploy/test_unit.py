"""systemd understands the unit."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from app.settings import Settings
from tests.service import ROOT

UNIT = ROOT / "deploy/atelier.service"
PYTHON = "/opt/atelier/.venv/bin/python"


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    copy = tmp_path / "atelier.service"
    copy.write_text(UNIT.read_text().replace(PYTHON, sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", copy], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert str(copy) not in result.stderr


def test_there_is_time_to_stop() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT)
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) >= 2 * Settings().shutdown_grace_s
    assert service["KillMode"] == "mixed"
