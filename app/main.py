"""The web process: wires settings, models and routes into one ASGI app."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from operator import attrgetter
from typing import TypedDict

import structlog
import torch
from fastapi import FastAPI

from app import __version__
from app.api import (
    admin,
    classify,
    continuation,
    errors,
    evaluate,
    health,
    jobs,
    limits,
    models,
    monitoring,
    page,
    sessions,
    styles,
    stylize,
)
from app.api.allowance import RateLimitedError
from app.api.context import RequestContext
from app.api.deps import Services
from app.api.gate import Gate
from app.api.identity import KeyRequiredError, UnknownKeyError
from app.api.methods import Head
from app.api.openapi import DocumentedApp
from app.api.origins import CrossSiteError, UnknownHostError
from app.api.safe_headers import SafeHeaders
from app.api.v2 import health as protocol_health
from app.api.v2 import inference, metadata
from app.api.watch import JobWatch
from app.assembly import make_entry, make_loader, make_services, make_store
from app.hangup import Hangup
from app.jobs.database import Database
from app.jobs.errors import StoreUnavailableError
from app.serving.decoder import Decoder
from app.serving.metrics import Metrics
from app.settings import Settings
from app.upkeep import make_announcer, make_maintenance
from app.vision.device import choose_device
from app.vision.images import quiet_pillow

log = structlog.stdlib.get_logger(__name__)


_OPEN = (health, sessions, page, protocol_health)
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
        DeviceError: the host does not have the device that the settings name.
        DatabaseRevisionError: a newer program has made the job database.
        StoreUnavailableError: the job database does not answer.
    """
    quiet_pillow()
    torch.set_num_threads(settings.compute_threads)
    device = choose_device(settings.device)
    metrics = Metrics()
    database = Database(settings.database, settings.store_timeout_s)
    database.migrate()
    announcer = make_announcer(settings, database)
    watch = JobWatch(make_store(settings, database), settings.events_poll_s)
    entry = make_entry(settings, database)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        with ThreadPoolExecutor(1, thread_name_prefix="model") as model_thread:
            loader = make_loader(settings, device, model_thread, metrics)
            services = make_services(settings, entry, loader, metrics, database, watch)
            hangup.listen(services.reloader.ask)
            maintenance = make_maintenance(settings, database, services.blobs)
            works = [
                services.reloader.run(),
                _end_without(services.decoder),
                watch.run(),
                _now_and_then(maintenance.tick, settings.maintenance_s),
            ]
            if announcer is not None:
                waits = asyncio.Event()
                services.submissions.listen(waits.set)
                works.append(_now_and_then(announcer.recover, settings.maintenance_s))
                works.append(_now_and_then(announcer.announce, settings.maintenance_s, waits))
            tasks = [asyncio.create_task(work) for work in works]
            yield {"services": services}
            for task in tasks:
                task.cancel()
            services.decoder.close()
            database.close()

    app = DocumentedApp(
        title="Atelier",
        summary="Image inference and neural style transfer",
        version=__version__,
        generate_unique_id_function=attrgetter("name"),
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    errors.install(app)
    app.add_middleware(Head)
    app.add_middleware(Gate, entry=entry)
    app.add_middleware(RequestContext, metrics=metrics)
    app.add_middleware(SafeHeaders)
    for module in _OPEN:
        app.include_router(module.router)
    for module in _CLOSED if settings.metrics == "off" else (*_CLOSED, monitoring):
        app.include_router(module.router, responses=_AT_THE_GATE)
    for module in _PROTOCOL:
        app.include_router(module.router, responses=errors.in_protocol_form(_AT_THE_GATE))
    app.state.end_streams = watch.close
    return app


async def _end_without(decoder: Decoder) -> None:
    """End the process, as by SIGTERM, once no thread can decode; the supervisor starts another."""
    await decoder.until_lost()
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
