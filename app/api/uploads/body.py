"""The body of a request as it arrives: not too much, and in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from app.errors import AtelierError


class UploadTooLargeError(AtelierError):
    """The request has more bytes or more files than are accepted."""


class UploadTimeoutError(AtelierError):
    """The request did not arrive in time."""


@dataclass(frozen=True)
class ArrivalTimeouts:
    """The time in which a request has to arrive, and that for which it may send nothing."""

    timeout_s: float
    stall_s: float


async def arriving(
    request: Request, max_bytes: int, timeouts: ArrivalTimeouts
) -> AsyncIterator[bytes]:
    """Yield the body in pieces.

    Raises:
        UploadTooLargeError: it has more bytes, or announces that it has.
        UploadTimeoutError: it took too long.
        ClientDisconnect: the client has gone.
    """
    too_large = UploadTooLargeError(f"a request may have at most {max_bytes:,} bytes; send less")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    now = asyncio.get_running_loop().time
    deadline = now() + timeouts.timeout_s
    stream = request.stream()
    received = 0
    while True:
        try:
            async with asyncio.timeout_at(min(now() + timeouts.stall_s, deadline)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadTimeoutError("the upload stalled or took too long; send it again") from None
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk
