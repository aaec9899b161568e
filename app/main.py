"""The web process: wires settings, models and routes into one ASGI app."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from app.api import classify, errors, health, models
from app.api.context import RequestContext
from app.api.deps import Services
from app.api.openapi import DocumentedApp
from app.api.uploads import UploadLimits, Uploads
from app.serving.decoder import Decoder
from app.serving.metrics import Metrics
from app.serving.registry import ModelRegistry
from app.settings import Settings
from app.vision.device import choose_device
from app.vision.images import ImageLimits, quiet_pillow
from app.vision.specs import SPECS


class State(TypedDict):
    """What the lifespan gives to every request."""

    services: Services


def create_app(settings: Settings) -> FastAPI:
    """Build the app. Models are loaded when it starts, while it already answers `/health`.

    Raises:
        DeviceError: the host does not have the device that the settings name.
    """
    quiet_pillow()
    device = choose_device(settings.device)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        with ThreadPoolExecutor(1, thread_name_prefix="model") as model_thread:
            services = _services(settings, model_thread, metrics)
            tasks = [
                asyncio.create_task(services.registry.load(settings.models_dir, device)),
                asyncio.create_task(services.decoder.watch()),
            ]
            yield {"services": services}
            for task in tasks:
                task.cancel()
            services.decoder.close()

    app = DocumentedApp(
        title="Atelier",
        summary="Image inference and neural style transfer",
        version="0.1.0",
        lifespan=lifespan,
    )
    errors.install(app)
    app.add_middleware(RequestContext, metrics=metrics)
    for module in (classify, models, health):
        app.include_router(module.router)
    return app


def _services(settings: Settings, model_thread: ThreadPoolExecutor, metrics: Metrics) -> Services:
    return Services(
        registry=ModelRegistry(
            SPECS,
            settings.default_model,
            model_thread,
            metrics,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
        ),
        uploads=Uploads(
            UploadLimits(
                max_image_bytes=settings.max_image_bytes,
                max_request_bytes=settings.max_request_bytes,
                max_request_files=settings.max_request_files,
                max_held_bytes=settings.max_upload_bytes,
                timeout_s=settings.upload_timeout_s,
                stall_s=settings.upload_stall_s,
            )
        ),
        decoder=Decoder(
            ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
            metrics,
            threads=settings.decode_threads,
            max_pixels=settings.max_decoding_pixels,
            max_queue=settings.max_queue,
            timeout_s=settings.decode_timeout_s,
        ),
        metrics=metrics,
    )
