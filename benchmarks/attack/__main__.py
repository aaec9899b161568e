"""Good clients beside clients that mean harm: is any good request lost, does anything grow?

    python -m benchmarks.attack [--minutes 10]

Starts the service with keys for an honest caller and an attacker, whose thousand connections read
nothing, send slowly, follow events, pipeline, hide requests and send what is expensive to refuse.
Prints what became of the honest requests, the latency of `/health/live`, and the memory and
descriptors of the web process. They attack for a minute first: what the process keeps of its memory
then, for pictures to come, may not grow later. Exit status 1 if a good request failed. Measure with
nothing else running; two cores or more.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.keys import entry_for, new_key
from benchmarks.attack.attackers import ATTACKS
from benchmarks.soak.samples import holdings
from tests import http_client
from tests.jobs.studio import Studio
from tests.pictures import encode, photograph
from tests.service import Service, running_service, wait_until

_EVERY_S = 0.1
_FIRST_S = 60.0
_REST_S = 60.0


@dataclass
class Honest:
    """An honest client: its answers, by status, and how long each took."""

    url: str
    path: str
    key: str | None = None
    method: str = "GET"
    picture: bytes | None = None
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ask_until(self, over: threading.Event) -> None:
        """Ask ten times a second, on connections of its own as on one that is kept."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with http_client.connect(base_url=self.url, headers=headers, timeout=30) as kept:
            while not over.wait(_EVERY_S):
                self._ask(kept)
                with http_client.connect(base_url=self.url, headers=headers, timeout=30) as new:
                    self._ask(new)

    def _ask(self, client: httpx.Client) -> None:
        files = {"file": self.picture} if self.picture else None
        began = time.perf_counter()
        try:
            answer = client.request(self.method, self.path, files=files)
        except httpx.TransportError as error:
            self.failures.append(repr(error))
        else:
            self.seconds.append(time.perf_counter() - began)
            if answer.status_code != 200:
                self.failures.append(f"{answer.status_code} {answer.text[:200]}")


def main() -> int:
    """Run and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    honest, attacker = new_key(), new_key()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(
            Path(folder),
            workers=1,
            threads=None,
            api_keys=f"{entry_for('honest', honest)} {entry_for('attacker', attacker)}",
        ) as service,
    ):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for the attackers
        wait_until(service.is_measured, 120)
        job = _painted(service, attacker)
        clients = [
            Honest(service.url, "/health/live"),
            Honest(service.url, "/jobs", honest),
            Honest(service.url, "/classify?model=mnist", honest, "POST", encode(photograph())),
        ]
        print(f"{sum(ATTACKS.values())} attackers")
        print(f"web process at the start    {_held(service)}")
        for seconds in (_FIRST_S, args.minutes * 60):
            _attack(service, attacker, job, seconds, clients)
            time.sleep(_REST_S)
            print(f"{_REST_S:.0f} s after {seconds:4.0f} s of it   {_held(service)}", flush=True)
    for client in clients:
        print(_summary(client))
    return int(any(client.failures for client in clients))


def _attack(service: Service, key: str, job: str, seconds: float, clients: list[Honest]) -> None:
    over = threading.Event()
    threads = [threading.Thread(target=client.ask_until, args=[over]) for client in clients]
    attackers = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.attack.attackers", str(service.port), job, str(seconds)],
        env=os.environ | {"ATTACKER_KEY": key},
    )
    for thread in threads:
        thread.start()
    while attackers.poll() is None:
        time.sleep(min(30, seconds / 5))
        print(f"  meanwhile                 {_held(service)}", flush=True)
    over.set()
    for thread in threads:
        thread.join()


def _painted(service: Service, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    with http_client.connect(base_url=service.url, headers=headers) as client:
        return str(Studio(client).paint()["id"])


def _held(service: Service) -> str:
    pid = service.web_pid()
    if pid is None:
        return "no process"
    held = holdings(pid)
    return (
        f"pid {pid}  {held.resident_bytes / 1e6:6.0f} MB  {held.descriptors:5} descriptors"
        f"  {held.threads} threads"
    )


def _summary(client: Honest) -> str:
    times = sorted(client.seconds)
    p50, p99 = (1000 * times[int(len(times) * share)] for share in (0.5, 0.99))
    lines = [
        f"{client.method} {client.path}: {len(times)} answers, {len(client.failures)} failures, "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {1000 * times[-1]:.0f} ms"
    ]
    return "\n".join([*lines, *(f"  {each}" for each in sorted(set(client.failures))[:5])])


if __name__ == "__main__":
    sys.exit(main())
