"""Samples of the resources that a service holds, every few seconds."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.service import Service

EVERY_S = 5.0
PROCESSES = ("supervisor", "web", "worker")


@dataclass(frozen=True)
class Holdings:
    """Of one process."""

    resident_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """Of all processes that lived, by name, and of the data directory."""

    at_s: float
    processes: dict[str, Holdings]
    pids: dict[str, int]
    disk_bytes: int


class Probe:
    """Looks at one service, from the moment when it was made."""

    def __init__(self, service: Service, state: Path) -> None:
        self.samples: list[Sample] = []
        self._service = service
        self._state = state
        self._begun = time.monotonic()

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def take(self) -> None:
        """Take one sample."""
        children = {name: self._service.child(name) for name in PROCESSES[1:]}
        found = {"supervisor": self._service.process.pid, **children}
        pids = {name: pid for name, pid in found.items() if pid is not None}
        held = {name: holdings(pid) for name, pid in pids.items()}
        self.samples.append(Sample(self.now(), held, pids, disk_bytes(self._state)))


async def sample_until(probe: Probe, end_s: float) -> None:
    """Take a sample every few seconds until the time is over."""
    while probe.now() < end_s:
        await asyncio.to_thread(probe.take)
        await asyncio.sleep(EVERY_S)


def holdings(pid: int) -> Holdings:
    """Read what a process holds."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return Holdings(
        pages * os.sysconf("SC_PAGE_SIZE"),
        len(list((folder / "fd").iterdir())),
        len(list((folder / "task").iterdir())),
    )


def disk_bytes(folder: Path) -> int:
    """Sum the files of a folder; those that go meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
