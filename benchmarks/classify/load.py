"""Drives a service over HTTP: closed loop with wrk, open loop with a generator of our own."""

import asyncio
import json
import math
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_BOUNDARY = "boundary-of-the-benchmark"
FORM = f"multipart/form-data; boundary={_BOUNDARY}"
"""The Content-Type of what is sent."""

_REPORT = """
done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, ' ..
    '"refused": %d, "failed": %d}\\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status, failed))
end
"""


@dataclass(frozen=True)
class Load:
    """Good answers a second, their latencies, and how many requests were refused or failed."""

    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    failed: int

    def __str__(self) -> str:
        """Show all of it in one line."""
        return (
            f"{self.rate:8.1f}/s  p50 {self.p50_ms:7.1f} ms  p99 {self.p99_ms:7.1f} ms"
            f"  errors {self.refused + self.failed}"
        )


def closed_loop(url: str, image: bytes, *, clients: int, seconds: float) -> Load:
    """Let each client send its next request when it has the answer to the last, by wrk."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder, "body"), Path(folder, "script.lua")
        body.write_bytes(multipart(image))
        script.write_text(
            f'wrk.method = "POST"\n'
            f'wrk.headers["Content-Type"] = "{FORM}"\n'
            f'wrk.body = io.open("{body}", "rb"):read("*a")\n{_REPORT}'
        )
        command = ("wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "60s")
        done = subprocess.run(
            (*command, "-s", str(script), url), capture_output=True, text=True, check=True
        )
    match = re.search(r"RESULT (.*)", done.stdout)
    if match is None:
        raise RuntimeError(f"wrk said: {done.stdout}{done.stderr}")
    found = json.loads(match[1])
    good = found["requests"] - found["refused"]
    return Load(
        good / found["seconds"], found["p50"], found["p99"], found["refused"], found["failed"]
    )


def open_loop(url: str, image: bytes, *, rate: float, seconds: float) -> Load:
    """Send requests at a constant rate, whether or not earlier ones are answered.

    Latency counts from the moment at which a request was due, so that a service which makes others
    wait is charged for it.
    """
    return asyncio.run(_open_loop(url, image, rate, seconds))


def multipart(image: bytes) -> bytes:
    """Return the body of a form with one image, PNG or JPEG."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="image.{kind}"\r\n'
        f"Content-Type: image/{kind}\r\n\r\n"
    )
    return head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


async def _open_loop(url: str, image: bytes, rate: float, seconds: float) -> Load:
    client = _Client(url, image)
    begun = time.perf_counter()
    tasks = []
    for number in range(math.floor(rate * seconds)):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(client.post(due)))
    answers = await asyncio.gather(*tasks)
    client.close()
    took_s = time.perf_counter() - begun
    latencies = sorted(answer.latency_s * 1000 for answer in answers if answer.status == 200)
    return Load(
        len(latencies) / took_s,
        _percentile(latencies, 0.5),
        _percentile(latencies, 0.99),
        sum(answer.status not in (0, 200) for answer in answers),
        sum(answer.status == 0 for answer in answers),
    )


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else math.nan


@dataclass(frozen=True)
class _Answer:
    """Status, 0 for none, and the time since the request was due."""

    status: int
    latency_s: float


_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Client:
    """HTTP/1.1 over connections that are used again: as little work as possible."""

    def __init__(self, url: str, image: bytes) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        body = multipart(image)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: {FORM}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._idle: list[_Connection] = []

    async def post(self, due: float) -> _Answer:
        try:
            status = await self._exchange()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status = 0
        return _Answer(status, time.perf_counter() - due)

    async def _exchange(self) -> int:
        connection = self._idle.pop() if self._idle else await self._connect()
        reader, writer = connection
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        self._idle.append(connection)
        return int(head.split(b" ", 2)[1])

    async def _connect(self) -> _Connection:
        return await asyncio.open_connection(self._host, self._port)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
