"""Runs a fleet on this host: web processes and workers without a supervisor, as containers do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests import http_client
from tests.jobs.studio import QUICK, Studio
from tests.patience import patient
from tests.service import (
    ROOT,
    free_port,
    hand_on_measured,
    keep_measured,
    small_models,
    wait_until,
)

_GRACE_S = patient()


class Member:
    """One process of the fleet, with a log of its own."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", *words],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return what it has logged so far under a name."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry.get("event") == event]

    def children(self) -> list[int]:
        """Its own children, such as the process in which a worker runs jobs."""
        with suppress(FileNotFoundError):
            tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
            return [int(word) for task in tasks for word in task.read_text().split()]
        return []

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(_GRACE_S)


class Web(Member):
    """A web process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(["web", "--port", str(port)], environment, log)
        try:
            wait_until(self._is_ready)
        except BaseException:
            self.kill()
            raise

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return http_client.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
            return False


class Fleet:
    """Members that share a database, a broker and the files of jobs."""

    def __init__(self, folder: Path, variables: Mapping[str, str], **settings: object) -> None:
        self.folder = folder
        given = QUICK | {
            "data_dir": folder / "var",
            "models_dir": small_models(),
            "engine": "exact",
            "broker_timeout_s": patient(1),
            "shutdown_grace_s": patient(5),
            **settings,
        }
        self._environment = (
            os.environ
            | variables
            | {f"ATELIER_{name.upper()}": str(value) for name, value in given.items()}
        )
        self._environment["OMP_NUM_THREADS"] = "1"
        self.webs: list[Web] = []
        self.workers: list[Member] = []
        self._wanted = 0, 0
        self._clients: list[httpx.Client] = []
        self._count = 0
        self._has_broker = "broker_url" in settings

    def add_web(self) -> Web:
        """Start a web process, and wait until it answers."""
        web = Web(self._environment, self._log("web"))
        self.webs.append(web)
        return web

    def add_worker(self) -> Member:
        """Start a worker, and wait until it works."""
        worker = self.begin_worker()
        wait_until(lambda: worker.events("worker ready"))
        wait_until((self.folder / "var/calibrations.json").exists)
        return worker

    def begin_worker(self) -> Member:
        """Start a worker, without waiting for it."""
        worker = Member(["worker"], self._environment, self._log("worker"))
        self.workers.append(worker)
        return worker

    def complete(self, webs: int, workers: int) -> None:
        """Start members until there are so many; those that have ended do not count."""
        self._wanted = webs, workers
        self.repair()

    def repair(self) -> None:
        """Start others in place of members that have ended."""
        self.webs = [web for web in self.webs if web.process.poll() is None]
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        webs, workers = self._wanted
        while len(self.webs) < webs:
            self.add_web()
        while len(self.workers) < workers:
            self.add_worker()
        for worker in self.workers:
            self._await_child(worker)

    def studio(self, number: int = 0) -> Studio:
        """The job routes of one of the web processes."""
        client = http_client.connect(base_url=self.webs[number].url, follow_redirects=True)
        self._clients.append(client)
        return Studio(client)

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return what all members, now or before, have logged, in the order of time."""
        logs = self.folder.glob("*.log")
        lines = (line for log in logs for line in log.read_text().splitlines() if line[:1] == "{")
        found = [entry for entry in map(json.loads, lines) if entry.get("event") == event]
        wanted = [entry for entry in found if fields.items() <= entry.items()]
        return sorted(wanted, key=lambda entry: str(entry["timestamp"]))

    def runs(self, job_id: str) -> Member:
        """The worker that has a job; waits until one has."""
        holder = wait_until(lambda: self._holder(job_id))
        assert holder is not None
        return holder

    def processes(self) -> list[int]:
        """All processes of the fleet that there are, however they came to be."""
        mark = f"ATELIER_DATA_DIR={self.folder / 'var'}".encode()
        return [pid for pid in _all_processes() if mark in _environment(pid)]

    def stop(self) -> None:
        """Stop everything; nothing may be left."""
        for client in self._clients:
            client.close()
        members = [*self.workers, *self.webs]
        for member in members:
            member.process.terminate()
        for member in members:
            with suppress(subprocess.TimeoutExpired):
                member.process.wait(_GRACE_S)
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, "\n".join(member.log.read_text()[-2000:] for member in members)

    def _await_child(self, worker: Member) -> None:
        """Wait until a worker has its process that runs jobs; without a broker it has none."""
        if self._has_broker:
            wait_until(lambda: len(worker.children()) == 1)

    def _holder(self, job_id: str) -> Member | None:
        claims = self.events("job claimed", job_id=job_id)
        pid = claims[-1]["pid"] if claims else None
        return next((each for each in self.workers if pid in each.children()), None)

    def _log(self, kind: str) -> Path:
        self._count += 1
        return self.folder / f"{self._count:02}-{kind}.log"


@contextmanager
def running_fleet(
    folder: Path,
    *,
    webs: int = 2,
    workers: int = 2,
    variables: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[Fleet]:
    """Start a fleet, with every duration shrunk; all its processes have ended afterwards.

    `variables` are in their environment, besides the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(folder, variables or {}, **settings)
    hand_on_measured(folder / "var")
    try:
        fleet.complete(webs, workers)
        yield fleet
    finally:
        fleet.stop()
        keep_measured(folder / "var")


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
