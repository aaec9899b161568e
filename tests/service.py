"""Starts the real service as a user would, and stops it."""

import atexit
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests import http_client
from tests.patience import patient

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"

_MEASURED = "calibrations.json"
_SHARED = "ATELIER_TEST_SHARED"  # variable with a folder for all processes that run tests


_UNHURRIED = {
    "cancel_s": patient(10),
    "classify_deadline_s": patient(10),
    "decode_timeout_s": patient(60),
    "store_timeout_s": patient(5),
    "upload_stall_s": patient(10),
}
"""The service's own time limits that a slow host may reach."""


@dataclass(frozen=True)
class Service:
    """A running supervisor and its children."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def die(self) -> None:
        """Kill everything at once, as a host does that loses its power."""
        children = [self.web_pid(), self.worker_pid()]
        self.process.kill()
        for child in children:
            if child is not None:
                os.kill(child, signal.SIGKILL)  # it would end by itself, unless it is stopped
        self.process.wait()
        wait_until(lambda: not self._is_listening())

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def web_pid(self) -> int | None:
        """Process id of the web process, if there is one now."""
        return self.child("web")

    def worker_pid(self) -> int | None:
        """Process id of the worker, if there is one now."""
        return self.child("worker")

    def child(self, command: str) -> int | None:
        """Process id of the supervisor's child that runs a command, if there is one now."""
        return child_of(self.process.pid, command)

    def child_of_web(self, command: str) -> int | None:
        """Process id of the web process's child that runs a command, if there is one now."""
        web = self.web_pid()
        return None if web is None else child_of(web, command)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return what has been logged so far under a name, by a service that logs JSON."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry.get("event") == event]

    def resident_bytes(self) -> int:
        """Memory of the web process."""
        pages = int(Path(f"/proc/{self.web_pid()}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def is_measured(self) -> bool:
        """Return whether there is a worker that knows what its work costs."""
        known = (self.log.parent / "var" / _MEASURED).exists()
        return known and bool(http_client.get(f"{self.url}/health/ready").json()["workers"])

    def is_ready(self) -> bool:
        try:
            return http_client.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False


def is_running(pid: int) -> bool:
    """Return whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def free_port() -> int:
    """Choose a port that nobody uses, and that the kernel gives to nobody."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def child_of(pid: int, command: str) -> int | None:
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[1:4] == [b"-m", b"app", command.encode()]:
                return int(child)
    return None


def wait_until(condition: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Poll until a condition is true, for `timeout_s` seconds on a quiet host; return its value."""
    end = time.monotonic() + patient(timeout_s)
    while not (found := condition()):
        assert time.monotonic() < end, f"not true within {patient(timeout_s):.0f} s"
        time.sleep(0.05)
    return found


@contextmanager
def running_service(
    folder: Path, *, threads: int | None = 1, **settings: object
) -> Iterator[Service]:
    """Run `python -m app serve` with its state in `folder` and `settings` as ATELIER_NAME.

    There are no workers unless they are asked for, and only the two small models; what the first
    worker has measured is handed on to later ones. Tests run side by side, so that each process
    computes in one thread; None leaves that to the service.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "var"
    given = {
        "data_dir": state,
        "port": 0,
        "workers": 0,
        "models_dir": small_models(),
        "engine": "exact",  # nothing is converted or compared at the start
        **_UNHURRIED,
        **settings,
    }
    environment = os.environ | {
        f"ATELIER_{name.upper()}": str(each) for name, each in given.items()
    }
    environment.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    hand_on_measured(state)
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,  # should it outlive the tests, nobody waits for it
            stderr=stderr,
        )
    try:
        yield _started(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patient())
        except subprocess.TimeoutExpired:
            process.kill()  # its children end with it
            raise
        keep_measured(state)


def hand_on_measured(state: Path) -> None:
    """Spare a worker on a new data directory the measurement that another has made."""
    known = _shared() / _MEASURED
    if known.exists() and not state.exists():
        state.mkdir()
        shutil.copy(known, state)


def keep_measured(state: Path) -> None:
    """Remember what a worker has measured."""
    if (state / _MEASURED).exists():
        partial = _shared() / f"{_MEASURED}.{os.getpid()}"
        shutil.copy(state / _MEASURED, partial)
        partial.replace(_shared() / _MEASURED)


def _shared() -> Path:
    """Return a folder that the processes of one run of tests share; the first one removes it."""
    if _SHARED not in os.environ:
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="atelier-tests-")
        atexit.register(shutil.rmtree, os.environ[_SHARED])
    return Path(os.environ[_SHARED])


_shared()  # before pytest starts the processes among which it divides the tests


@cache
def small_models() -> Path:
    """A folder of the shipped checkpoints that are loaded in no time."""
    folder = Path(tempfile.mkdtemp(prefix="atelier-models-"))
    atexit.register(shutil.rmtree, folder)
    for file in MODELS.iterdir():
        if file.stem in {"mnist", "cifar10"}:
            (folder / file.name).symlink_to(file)
    return folder


def _started(process: subprocess.Popen[bytes], log: Path) -> Service:
    def listening() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return re.search(r"http://[\d.]+:\d+", log.read_text())

    match = wait_until(listening)
    assert match is not None
    service = Service(process, match[0], log)
    wait_until(service.is_ready)
    return service
