import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.patience import patient
from tests.service import ROOT, wait_until

pytestmark = pytest.mark.processes

_SERVE = [sys.executable, "-m", "app", "serve", "--port", "0"]


@contextmanager
def in_a_terminal(
    folder: Path, command: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """Run a program as the leader of a terminal's session: the process, and the terminal."""
    master, slave = pty.openpty()
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(folder / "var"),
        "ATELIER_MODELS_DIR": str(folder),
        "ATELIER_WORKERS": "0",
    }
    with os.fdopen(master, "wb") as terminal, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["env", "--default-signal=HUP", "setsid", "--ctty", *command],
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        os.close(slave)
        try:
            wait_until(lambda: "startup complete" in said(folder))
            yield process, terminal
        finally:
            process.kill()
            process.wait(patient())


def said(folder: Path) -> str:
    return (folder / "log").read_text()


def test_service_ends_with_its_terminal_but_not_after_a_reload_request(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path, _SERVE) as (process, terminal):
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload done" in said(tmp_path))
        terminal.close()
        assert process.wait(patient()) == 0


def test_under_nohup_the_service_outlives_its_terminal(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path, ["nohup", *_SERVE]) as (process, terminal):
        terminal.close()
        wait_until(lambda: "reload done" in said(tmp_path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(patient()) == 0
