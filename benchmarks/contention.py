"""Latency of `POST /classify` while a worker paints on the same host.

    python -m benchmarks.contention [--requests 300] [--runs 3]

One client sends one image at a time to the `mnist` model: first while the service is idle, then
while a `standard` painting of 512 px runs, in turns. Prints the median and the 95th percentile of
both in milliseconds, and the ratio of the medians (bar: below 3).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from tests.service import ROOT, running_service, wait_until

BAR = 3.0
_PHOTO = ROOT / "docs/examples/ship.jpg"
_DIGIT = ROOT / "docs/examples/seven.jpg"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), threads=None, workers=1, log_format="json") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        wait_until(service.is_measured)
        for _ in range(args.runs):
            compare(client, args.requests)


def compare(client: httpx.Client, requests: int) -> None:
    """Measure idle, then while a painting runs; prints one line."""
    latencies_ms(client, requests // 10)
    idle = latencies_ms(client, requests)
    job = painting(client)
    busy = latencies_ms(client, requests)
    running = client.get(job).json()["status"] == "running"
    client.post(f"{job}/cancel")
    wait_until(lambda: client.get(job).json()["status"] == "cancelled")
    ratio = statistics.median(busy) / statistics.median(idle)
    print(
        f"idle {summary(idle)}; while painting {summary(busy)}; "
        f"median {ratio:.2f}x (bar {BAR}x){'' if running else ', but the painting had ended'}"
    )


def painting(client: httpx.Client) -> str:
    """Start a standard painting of 512 px; returns its URL once it is at full size."""
    files = {"content": _PHOTO.read_bytes()}
    data = {"style_name": "brushwork", "seed": "0"}
    job = str(client.post("/stylize", files=files, data=data).headers["location"])
    wait_until(lambda: (client.get(job).json()["progress"] or {}).get("size") == 512, 120)
    return job


def latencies_ms(client: httpx.Client, requests: int) -> list[float]:
    """Send one digit after the other."""
    digit = _DIGIT.read_bytes()
    found = []
    for _ in range(requests):
        started = time.perf_counter()
        client.post("/classify?model=mnist", files={"file": digit}).raise_for_status()
        found.append((time.perf_counter() - started) * 1000)
    return found


def summary(found: list[float]) -> str:
    """Median and 95th percentile."""
    return f"{statistics.median(found):.1f} ms (p95 {statistics.quantiles(found, n=20)[-1]:.1f})"


if __name__ == "__main__":
    main()
