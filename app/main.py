"""The web process: wires settings, models and routes into one ASGI app."""

import asyncio
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypedDict

import structlog
import torch
from fastapi import FastAPI

from app.api import (
    admin,
    classify,
    continuation,
    errors,
    evaluate,
    health,
    jobs,
    models,
    page,
    styles,
    stylize,
)
from app.api.archives import Archives
from app.api.arriving import Patience
from app.api.context import RequestContext
from app.api.deps import Services
from app.api.openapi import DocumentedApp
from app.api.submissions import Submissions
from app.api.uploads import UploadLimits, Uploads
from app.api.watch import JobWatch
from app.evaluation.sources import ArchiveLimits
from app.hangup import Hangup
from app.jobs.blobs import Blobs
from app.jobs.database import Database
from app.jobs.errors import StoreUnavailableError
from app.jobs.leases import Leases
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.roster import Roster
from app.jobs.store import JobStore, QueueLimits
from app.serving.batcher import BatchLimits
from app.serving.decoder import Decoder
from app.serving.loader import Loader
from app.serving.metrics import Metrics
from app.serving.registry import ModelRegistry
from app.serving.reloader import Reloader
from app.settings import Settings
from app.vision.device import choose_device
from app.vision.images import ImageLimits, quiet_pillow
from app.vision.specs import SPECS

log = structlog.stdlib.get_logger(__name__)


_ROUTED = (classify, evaluate, stylize, continuation, jobs, styles, models, admin, health, page)


class State(TypedDict):
    """What the lifespan gives to every request."""

    services: Services


def create_app(settings: Settings, hangup: Hangup) -> FastAPI:
    """Build the app. Models are loaded when it starts, while it already answers `/health`.

    SIGHUP has them reloaded. `app.state.end_streams` is an async function that ends the streams
    which would otherwise keep the service from stopping.

    Raises:
        DeviceError: the host does not have the device that the settings name.
    """
    quiet_pillow()
    torch.set_num_threads(settings.compute_threads)
    device = choose_device(settings.device)
    metrics = Metrics()
    database = Database(settings.database, settings.store_timeout_s)
    watch = JobWatch(_store(settings, database), settings.events_poll_s)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        await asyncio.to_thread(database.create_tables)
        with ThreadPoolExecutor(1, thread_name_prefix="model") as model_thread:
            loader = _loader(settings, device, model_thread, metrics)
            services = _services(settings, loader, metrics, database, watch)
            hangup.listen(services.reloader.ask)
            works = (
                services.reloader.run(),
                _end_without(services.decoder),
                watch.run(),
                _maintain(settings, database, services.blobs),
            )
            tasks = [asyncio.create_task(work) for work in works]
            yield {"services": services}
            for task in tasks:
                task.cancel()
            services.decoder.close()
            database.close()

    app = DocumentedApp(
        title="Atelier",
        summary="Image inference and neural style transfer",
        version="0.1.0",
        lifespan=lifespan,
    )
    errors.install(app)
    app.add_middleware(RequestContext, metrics=metrics)
    for module in _ROUTED:
        app.include_router(module.router)
    app.state.end_streams = watch.close
    return app


def _services(
    settings: Settings,
    loader: Loader,
    metrics: Metrics,
    database: Database,
    watch: JobWatch,
) -> Services:
    store, blobs = _store(settings, database), Blobs(settings.data_dir)
    registry = ModelRegistry(SPECS, settings.default_model, loader, metrics)
    return Services(
        registry=registry,
        reloader=Reloader(registry, loader, metrics),
        uploads=_uploads(settings),
        archives=_archives(settings, blobs),
        datasets=settings.datasets,
        decoder=_decoder(settings, metrics),
        metrics=metrics,
        jobs=store,
        blobs=blobs,
        roster=Roster(database, settings.lease_s),
        submissions=Submissions(store, blobs, settings.min_free_bytes),
        watch=watch,
        max_size=settings.max_size,
        classify_deadline_s=settings.classify_deadline_s,
    )


def _store(settings: Settings, database: Database) -> JobStore:
    limits = QueueLimits(settings.max_queued_jobs, settings.max_queued_jobs_per_caller)
    return JobStore(database, limits)


def _loader(
    settings: Settings, device: torch.device, model_thread: ThreadPoolExecutor, metrics: Metrics
) -> Loader:
    limits = BatchLimits(settings.max_batch, settings.max_queue, settings.classify_deadline_s)
    return Loader(device, model_thread, metrics, settings.engines, limits)


def _uploads(settings: Settings) -> Uploads:
    return Uploads(
        UploadLimits(
            max_image_bytes=settings.max_image_bytes,
            max_request_bytes=settings.max_request_bytes,
            max_request_files=settings.max_request_files,
            max_held_bytes=settings.max_upload_bytes,
            patience=Patience(settings.upload_timeout_s, settings.upload_stall_s),
        )
    )


def _archives(settings: Settings, blobs: Blobs) -> Archives:
    return Archives(
        blobs,
        ArchiveLimits(settings.max_archive_bytes, settings.max_archive_entries),
        Patience(settings.archive_timeout_s, settings.upload_stall_s),
        settings.min_free_bytes,
    )


def _decoder(settings: Settings, metrics: Metrics) -> Decoder:
    return Decoder(
        ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
        metrics,
        threads=settings.decode_threads,
        max_pixels=settings.max_decoding_pixels,
        max_queue=settings.max_queue,
        timeout_s=settings.decode_timeout_s,
    )


async def _end_without(decoder: Decoder) -> None:
    """End the process, as by SIGTERM, once no thread can decode; the supervisor starts another."""
    await decoder.until_lost()
    log.critical("all decoding threads hang; the process ends")
    signal.raise_signal(signal.SIGTERM)


async def _maintain(settings: Settings, database: Database, blobs: Blobs) -> None:
    maintenance = Maintenance(
        database,
        Leases(database, settings.lease_s, settings.retry_s),
        blobs,
        Retention(settings.result_ttl_s, settings.job_ttl_s, settings.orphan_ttl_s),
    )
    while True:
        try:
            await asyncio.to_thread(maintenance.tick)
        except (StoreUnavailableError, OSError) as error:
            log.warning("maintenance has to wait", error=str(error))
        except Exception:  # the next time may find another state
            log.exception("maintenance failed")
        await asyncio.sleep(settings.maintenance_s)
