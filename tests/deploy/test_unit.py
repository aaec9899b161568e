"""systemd understands the unit."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from app.settings import Settings
from tests.deploy.programs import program
from tests.service import ROOT

UNIT = ROOT / "deploy/atelier.service"
PYTHON = "/opt/atelier/.venv/bin/python"


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", package="systemd")
    copy = tmp_path / "atelier.service"
    copy.write_text(UNIT.read_text().replace(PYTHON, sys.executable))
    result = subprocess.run([analyze, "verify", copy], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert str(copy) not in result.stderr


def test_resources_of_the_unit_are_limited() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT)
    service = unit["Service"]
    for name in ("LimitNOFILE", "TasksMax", "MemoryMax"):
        assert service[name] != "infinity"
    assert service["OOMPolicy"] == "continue"


def test_there_is_time_to_stop() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT)
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) >= 2 * Settings().shutdown_grace_s
    assert service["KillMode"] == "mixed"
