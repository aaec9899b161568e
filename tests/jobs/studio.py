"""Talks to the job routes of a running service, and makes small pictures for it."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests import http_client
from tests.patience import patient
from tests.pictures import encode
from tests.service import Service, running_service, wait_until

QUICK: dict[str, Any] = {
    "workers": 1,
    "log_format": "json",
    "device": "cpu",
    "report_s": 0.1,
    "checkpoint_s": 0.2,
    "lease_s": patient(4),
    "lease_renew_s": 0.2,
    "lease_give_up_s": patient(3),
    "retry_s": 0.1,
    "restart_s": 0.1,
    "longest_restart_s": 0.1,
    "maintenance_s": 0.2,
    "store_timeout_s": patient(2),
    "events_poll_s": 0.02,
}
"""Settings with every duration shrunk; those that a slow host may overrun are scaled to it."""

LONG = {"size": 256, "quality": "high", "init": "noise"}
"""A painting that no host ends before a test does: it has 510 steps, of which the first are quick.

Its first steps are at 64 px; a test that has seen enough of them calls `finish` or `cancel`.
"""

TERMINAL = {"succeeded", "failed", "cancelled"}

Job = dict[str, Any]


def picture(width: int = 96, height: int = 64, seed: int = 0) -> bytes:
    """A small JPEG, another one for every seed."""
    size = (width // 4, height // 4)
    values = random.Random(seed).randbytes(3 * size[0] * size[1])  # noqa: S311
    noise = Image.frombytes("RGB", size, values)
    return encode(noise.resize((width, height), Image.Resampling.BICUBIC), "JPEG")


@dataclass(frozen=True)
class Studio:
    """The job routes."""

    client: httpx.Client

    def submit(self, headers: dict[str, str] | None = None, /, **fields: Any) -> httpx.Response:
        """Ask for a painting, a small one of some seconds unless the fields say otherwise."""
        data = {"style_name": "mosaic", "size": 64, "quality": "preview"} | fields
        files = {"content": ("photo.jpg", picture())}
        return self.client.post("/stylize", data=data, files=files, headers=headers)

    def start(self, **fields: Any) -> str:
        """Ask for a painting that is accepted; returns its id."""
        response = self.submit(**fields)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def paint(self, **fields: Any) -> Job:
        """Ask for a painting and finish it after its first steps; return the job."""
        return self.finish(self.start(**fields))

    def show(self, job_id: str) -> Job:
        """Look at a job."""
        return self._about("GET", job_id)

    def wait(
        self, job_id: str, until: Callable[[Job], object] = lambda job: job["status"] in TERMINAL
    ) -> Job:
        """Look at a job until something is true of it."""
        end = time.monotonic() + patient()
        while not until(job := self.show(job_id)):
            assert time.monotonic() < end, job
            assert job["status"] not in TERMINAL, job
            time.sleep(0.1)
        return job

    def wait_for_step(self, job_id: str, step: int) -> Job:
        """Look at a job until it has come so far, and still runs."""
        return self.wait(job_id, lambda job: job["progress"] and job["progress"]["step"] >= step)

    def finish(self, job_id: str) -> Job:
        """End a painting with the picture that there is; return the job that has succeeded."""
        self._about("POST", f"{job_id}/finish")
        done = self.wait(job_id)
        assert done["status"] == "succeeded", done
        return done

    def cancel(self, job_id: str) -> Job:
        """End a job without a result; return it."""
        self._about("POST", f"{job_id}/cancel")
        cancelled = self.wait(job_id)
        assert cancelled["status"] == "cancelled", cancelled
        return cancelled

    def cancel_all(self) -> None:
        """End what a failed test has left, so that later tests find an idle worker."""
        for job in self._unfinished():
            self.client.post(f"/jobs/{job['id']}/cancel")
        wait_until(lambda: not self._unfinished())

    def result(self, job_id: str) -> httpx.Response:
        """Fetch the result."""
        return self.client.get(f"/jobs/{job_id}/result")

    def _unfinished(self) -> list[Job]:
        pages = [
            self.client.get("/jobs", params={"status": status}).json()["jobs"]
            for status in ("queued", "running")
        ]
        return [job for page in pages for job in page]

    def _about(self, method: str, path: str) -> Job:
        """Ask about a job, again and again while the web process or the database is away."""
        end = time.monotonic() + patient()
        while True:
            try:
                response = self.client.request(method, f"/jobs/{path}")
            except httpx.TransportError:
                assert time.monotonic() < end
            else:
                if response.status_code != 503 or time.monotonic() > end:
                    break
            time.sleep(0.1)
        assert response.status_code == 200, response.text
        found: Job = response.json()
        return found


@contextmanager
def studio(service: Service) -> Iterator[Studio]:
    """Open the job routes of a service."""
    with http_client.connect(base_url=service.url) as client:
        yield Studio(client)


@contextmanager
def quick_service(folder: Path, **settings: Any) -> Iterator[tuple[Service, Studio]]:
    """A service with every duration shrunk, and its job routes."""
    with running_service(folder, **{**QUICK, **settings}) as service:
        wait_until(lambda: service.events("worker ready"))
        with studio(service) as jobs:
            yield service, jobs


def kill_worker(service: Service, number: int = signal.SIGKILL) -> int:
    """Send the worker a signal; returns its process id."""
    pid = wait_until(service.worker_pid)
    assert pid is not None
    os.kill(pid, number)
    return pid
