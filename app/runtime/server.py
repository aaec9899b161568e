"""The uvicorn server of the web app."""

import math
import socket
from functools import partial

import uvicorn
from fastapi import FastAPI

from app.runtime.connections import ConnectionLimits, ConnectionSlots
from app.runtime.http_protocol import BoundedHttpProtocol


def run(app: FastAPI, listener: socket.socket, limits: ConnectionLimits, *, grace_s: float) -> None:
    """Serve until SIGTERM or SIGINT. Running requests then have `grace_s` seconds to end."""
    protocol = partial(BoundedHttpProtocol, limits=limits, slots=ConnectionSlots(limits))
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    _Server(config, app).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._end_streams = app.state.end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._end_streams()  # event streams last as long as their jobs
        await super().shutdown(sockets)
