"""Streaming of request bodies with limits on size and time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from app.api.problems import ApiError, ProblemType


class UploadTooLargeError(ApiError):
    """The request has too many bytes or files."""

    problem_type = ProblemType(413, "request_too_large", "The request is too large")


class UploadTimeoutError(ApiError):
    """The request was not received in time."""

    problem_type = ProblemType(408, "upload_timeout", "The upload took too long")


@dataclass(frozen=True)
class UploadTimeouts:
    """The time in which a request has to arrive, and the time without a byte."""

    timeout_s: float
    stall_s: float


@dataclass(frozen=True)
class UploadLimits:
    """Limits on the size of requests."""

    max_image_bytes: int
    max_request_bytes: int
    max_request_files: int
    max_held_bytes: int
    timeouts: UploadTimeouts

    @property
    def max_flow_bytes(self) -> int:
        """Bytes that one flow may hold: half of all, or one request if that is more."""
        return min(max(self.max_held_bytes // 2, self.max_request_bytes), self.max_held_bytes)


async def body_chunks(
    request: Request, max_bytes: int, timeouts: UploadTimeouts
) -> AsyncIterator[bytes]:
    """Yield the body in chunks.

    Raises:
        UploadTooLargeError: the body, or its Content-Length, exceeds the limit.
        UploadTimeoutError: it was not received in time.
        ClientDisconnect: the client has disconnected.
    """
    too_large = UploadTooLargeError(
        f"The request is larger than the limit of {max_bytes:,} bytes. Send less."
    )
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
            raise UploadTimeoutError(
                "The upload stalled or took too long. Send it again."
            ) from None
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk
