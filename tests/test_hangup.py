import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, wait_until

_SERVE = [sys.executable, "-m", "app", "serve", "--port", "0"]


def started_in_a_terminal(folder: Path, command: list[str]) -> tuple[int, int]:
    """Start a program as the leader of a terminal's session: its process id, and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ |= {
            "ATELIER_DATA_DIR": str(folder / "var"),
            "ATELIER_MODELS_DIR": str(folder),
            "ATELIER_WORKERS": "0",
        }
        log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 2)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    wait_until(lambda: "startup complete" in (folder / "log").read_text())
    return pid, terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").touch()
    return tmp_path


def test_the_service_ends_with_its_terminal_and_not_with_a_wish(folder: Path) -> None:
    pid, terminal = started_in_a_terminal(folder, _SERVE)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: "reload done" in (folder / "log").read_text())
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_under_nohup_the_service_outlives_its_terminal(folder: Path) -> None:
    pid, terminal = started_in_a_terminal(folder, ["nohup", *_SERVE])
    os.close(terminal)
    wait_until(lambda: "reload done" in (folder / "log").read_text())
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
