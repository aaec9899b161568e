"""The ASGI app of the web process."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
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
from app.api.middleware.access import AccessMiddleware
from app.api.middleware.csrf import CrossSiteError, UnknownHostError
from app.api.middleware.headers import SecurityHeadersMiddleware
from app.api.middleware.methods import HeadMiddleware
from app.api.middleware.request_log import RequestLogMiddleware
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
from app.api.v2.errors import protocol_responses
from app.api.v2.middleware import ProtocolMiddleware
from app.jobs.errors import StoreUnavailableError
from app.runtime.maintenance import make_maintenance
from app.runtime.signals import ReloadSignal
from app.runtime.web_wiring import WebProcess, make_web_process
from app.serving.decoder import Decoder
from app.settings import Settings
from app.vision.images import configure_pillow

log = structlog.stdlib.get_logger(__name__)


_OPEN = (health, session, page, protocol_health)
_CLOSED = (classify, evaluate, stylize, continuation, jobs, styles, models, limits, admin)
_PROTOCOL = (metadata, inference)
_ACCESS_ERRORS = (
    UnknownHostError,
    CrossSiteError,
    KeyRequiredError,
    UnknownKeyError,
    RateLimitedError,
)


class State(TypedDict):
    """The state that the lifespan gives to every request."""

    services: Services


def create_app(settings: Settings, reload_signal: ReloadSignal) -> FastAPI:
    """Build the app. Models are loaded when it starts, while it already answers `/health`.

    SIGHUP reloads them. `app.state.end_streams` is an async function that ends the event streams,
    which would otherwise keep the service from stopping.

    Raises:
        AtelierError: something that the settings name is not usable; see `make_web_process`.
    """
    configure_pillow()
    torch.set_num_threads(settings.compute_threads)
    process = make_web_process(settings)
    app = DocumentedApp(
        title="Atelier",
        summary="Image inference and neural style transfer",
        version=__version__,
        generate_unique_id_function=attrgetter("name"),
        lifespan=partial(_lifespan, process, reload_signal),
        dependencies=[Depends(check_single_headers)],
        docs_url=None,  # these pages would load scripts from other hosts
        redoc_url=None,
    )
    errors.install(app)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AccessMiddleware, access_rules=process.access_rules)
    app.add_middleware(RequestLogMiddleware, metrics=process.services.metrics)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(ProtocolMiddleware)
    _add_routes(app, with_metrics=settings.metrics != "off")
    app.state.end_streams = process.services.watch.close
    return app


def _add_routes(app: FastAPI, *, with_metrics: bool) -> None:
    for module in _OPEN:
        app.include_router(module.router)
    for module in (*_CLOSED, metrics) if with_metrics else _CLOSED:
        app.include_router(module.router, responses=errors.problem_responses(*_ACCESS_ERRORS))
    for module in _PROTOCOL:
        app.include_router(module.router, responses=protocol_responses(*_ACCESS_ERRORS))


@asynccontextmanager
async def _lifespan(
    process: WebProcess, reload_signal: ReloadSignal, _app: FastAPI
) -> AsyncIterator[State]:
    reload_signal.listen(process.services.reloader.request_reload)
    tasks = [asyncio.create_task(task) for task in _background_tasks(process)]
    yield {"services": process.services}
    for task in tasks:
        task.cancel()
    await asyncio.to_thread(process.close)


def _background_tasks(process: WebProcess) -> Iterator[Coroutine[Any, Any, None]]:
    """Return the work that goes on beside the requests."""
    services, every_s = process.services, process.settings.maintenance_s
    yield services.reloader.run()
    yield _end_without(services.decoder)
    yield services.watch.run()
    maintenance = make_maintenance(process.settings, process.database, services.storage)
    yield _now_and_then(maintenance.tick, every_s)
    if process.publisher is not None:
        yield _now_and_then(process.publisher.recover, every_s)
        yield _now_and_then(process.publisher.announce, every_s, process.job_queued)


async def _end_without(decoder: Decoder) -> None:
    """End the process once all decoding threads are lost; the supervisor restarts it."""
    await decoder.wait_until_hung()
    log.critical("all decoding threads are lost; ending the process")
    signal.raise_signal(signal.SIGTERM)


async def _now_and_then(
    work: Callable[[], None], every_s: float, wanted: asyncio.Event | None = None
) -> None:
    """Call a function in a thread periodically, and at once when `wanted` is set."""
    wanted = wanted or asyncio.Event()
    while True:
        wanted.clear()
        try:
            await asyncio.to_thread(work)
        except (StoreUnavailableError, OSError) as error:
            log.warning("maintenance failed; retrying later", error=str(error))
        except Exception:  # the next call may succeed
            log.exception("maintenance failed")
        with suppress(TimeoutError):
            await asyncio.wait_for(wanted.wait(), every_s)
