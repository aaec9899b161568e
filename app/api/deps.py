"""What endpoints share: the services of this process, and not working for clients that left."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from starlette.requests import ClientDisconnect, Request

from app.api.uploads import Uploads
from app.serving.decoder import Decoder
from app.serving.metrics import Metrics
from app.serving.registry import ModelRegistry

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """Everything that lives as long as the web process; the lifespan yields it."""

    registry: ModelRegistry
    uploads: Uploads
    decoder: Decoder
    metrics: Metrics


def _services(request: Request) -> Services:
    services = request.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, or cancel it as soon as the client of a fully received request disconnects.

    Raises:
        ClientDisconnect: the client has gone.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
