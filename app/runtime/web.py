"""The web process: wires settings, models and routes into one ASGI app."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from operator import attrgetter
from typing import Any, TypedDict

import structlog
import torch
from fastapi import Depends, FastAPI

from app import __version__
from app.api import errors
from app.api.auth.identity import KeyRequiredError, UnknownKeyError
from app.api.auth.rate_limit import RateLimitedError
from app.api.deps import Services
from app.api.middleware.access import Gate
from app.api.middleware.csrf import CrossSiteError, UnknownHostError
from app.api.middleware.headers import SafeHeaders
from app.api.middleware.methods import Head
from app.api.middleware.request_log import RequestContext
from app.api.middleware.single_headers import check_single_headers
from app.api.openapi import DocumentedApp
from app.api.routes import (
    admin,
    classify,
    continuation,
    evaluate,
    health,
    jobs,
    limits,
    metrics,
    models,
    page,
    session,
    styles,
    stylize,
)
from app.api.v2 import health as protocol_health
from app.api.v2 import inference, metadata
from app.api.v2.trailing_slash import TrailingSlash
from app.jobs.errors import StoreUnavailableError
from app.runtime.maintenance import make_maintenance
from app.runtime.signals import Hangup
from app.runtime.web_wiring import Parts, make_loader, make_parts, make_services
from app.serving.decoder import Decoder
from app.settings import Settings
from app.vision.images import configure_pillow

log = structlog.stdlib.get_logger(__name__)


_OPEN = (health, session, page, protocol_health)
_CLOSED = (classify, evaluate, stylize, continuation, jobs, styles, models, limits, admin)
_PROTOCOL = (metadata, inference)
_AT_THE_GATE = errors.problem_responses(
    UnknownHostError, CrossSiteError, KeyRequiredError, UnknownKeyError, RateLimitedError
)


class State(TypedDict):
    """What the lifespan gives to every request."""

    services: Services


def create_app(settings: Settings, hangup: Hangup) -> FastAPI:
    """Build the app. Models are loaded when it starts, while it already answers `/health`.

    SIGHUP has them reloaded. `app.state.end_streams` is an async function that ends the streams
    which would otherwise keep the service from stopping.

    Raises:
        AtelierError: what the settings name cannot be used; see `make_parts`.
    """
    configure_pillow()
    torch.set_num_threads(settings.compute_threads)
    parts = make_parts(settings)
    app = DocumentedApp(
        title="Atelier",
        summary="Image inference and neural style transfer",
        version=__version__,
        generate_unique_id_function=attrgetter("name"),
        lifespan=partial(_lifespan, parts, hangup),
        dependencies=[Depends(check_single_headers)],
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    errors.install(app)
    app.add_middleware(Head)
    app.add_middleware(Gate, entry=parts.entry)
    app.add_middleware(RequestContext, metrics=parts.metrics)
    app.add_middleware(SafeHeaders)
    app.add_middleware(TrailingSlash)
    _add_routes(app, with_metrics=settings.metrics != "off")
    app.state.end_streams = parts.watch.close
    return app


def _add_routes(app: FastAPI, *, with_metrics: bool) -> None:
    for module in _OPEN:
        app.include_router(module.router)
    for module in (*_CLOSED, metrics) if with_metrics else _CLOSED:
        app.include_router(module.router, responses=_AT_THE_GATE)
    for module in _PROTOCOL:
        app.include_router(module.router, responses=errors.in_protocol_form(_AT_THE_GATE))


@asynccontextmanager
async def _lifespan(parts: Parts, hangup: Hangup, _app: FastAPI) -> AsyncIterator[State]:
    with ThreadPoolExecutor(1, thread_name_prefix="model") as model_thread:
        services = make_services(parts, make_loader(parts, model_thread))
        hangup.listen(services.reloader.request_reload)
        tasks = [asyncio.create_task(work) for work in _works(parts, services)]
        yield {"services": services}
        for task in tasks:
            task.cancel()
        services.decoder.close()
        if parts.announcer is not None:
            await asyncio.to_thread(parts.announcer.close)
        parts.database.close()


def _works(parts: Parts, services: Services) -> Iterator[Coroutine[Any, Any, None]]:
    """Run the work that goes on beside the requests."""
    every_s = parts.settings.maintenance_s
    yield services.reloader.run()
    yield _end_without(services.decoder)
    yield parts.watch.run()
    maintenance = make_maintenance(parts.settings, parts.database, parts.blobs)
    yield _now_and_then(maintenance.tick, every_s)
    if parts.announcer is not None:
        waits = asyncio.Event()
        services.submissions.listen(waits.set)
        yield _now_and_then(parts.announcer.recover, every_s)
        yield _now_and_then(parts.announcer.announce, every_s, waits)


async def _end_without(decoder: Decoder) -> None:
    """End the process, as by SIGTERM, once no thread can decode; the supervisor starts another."""
    await decoder.wait_until_hung()
    log.critical("all decoding threads hang; the process ends")
    signal.raise_signal(signal.SIGTERM)


async def _now_and_then(
    work: Callable[[], None], every_s: float, wanted: asyncio.Event | None = None
) -> None:
    """Do something in a thread, again and again; at once when it is wanted."""
    wanted = wanted or asyncio.Event()
    while True:
        wanted.clear()
        try:
            await asyncio.to_thread(work)
        except (StoreUnavailableError, OSError) as error:
            log.warning("maintenance has to wait", error=str(error))
        except Exception:  # the next time may find another state
            log.exception("maintenance failed")
        with suppress(TimeoutError):
            await asyncio.wait_for(wanted.wait(), every_s)
