"""A web app whose only answer is large, under the server that Atelier runs under."""

import socket
import sys
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.responses import StreamingResponse

from app.runtime import server
from app.runtime.connections import ConnectionLimits

SIZE = 12_000_000
_PIECE = bytes(60_000)


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(SIZE // len(_PIECE)):
        yield _PIECE


async def _answer() -> StreamingResponse:
    return StreamingResponse(_pieces(), headers={"Content-Length": str(SIZE)})


async def _nothing() -> None:
    pass


def main(descriptor: int, stall_s: float) -> None:
    """Serve on a listening socket; a client has `stall_s` seconds to read a little."""
    app = FastAPI(routes=[])
    app.get("/")(_answer)
    app.state.end_streams = _nothing
    limits = ConnectionLimits(
        max_connections=100, max_per_peer=None, head_timeout_s=stall_s, download_stall_s=stall_s
    )
    server.run(app, socket.socket(fileno=descriptor), limits, grace_s=1)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
