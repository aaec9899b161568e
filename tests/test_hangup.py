import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, wait_until

_SERVE = [sys.executable, "-m", "app", "serve", "--port", "0"]


def started_in_a_terminal(folder: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program as the leader of a terminal's session: the process, and the terminal."""
    terminal, end = pty.openpty()
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(folder / "var"),
        "ATELIER_MODELS_DIR": str(folder),
        "ATELIER_WORKERS": "0",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            cwd=ROOT,
            env=environment,
            stdin=end,
            stdout=end,
            stderr=log,
        )
    os.close(end)
    wait_until(lambda: "startup complete" in (folder / "log").read_text())
    return process, terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").touch()
    return tmp_path


def test_the_service_ends_with_its_terminal_and_not_with_a_wish(folder: Path) -> None:
    process, terminal = started_in_a_terminal(folder, _SERVE)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload done" in (folder / "log").read_text())
    os.close(terminal)
    assert process.wait(30) == 0


def test_under_nohup_the_service_outlives_its_terminal(folder: Path) -> None:
    process, terminal = started_in_a_terminal(folder, ["nohup", *_SERVE])
    os.close(terminal)
    wait_until(lambda: "reload done" in (folder / "log").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
