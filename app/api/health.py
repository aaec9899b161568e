"""`/health` and `/metrics`: for orchestrators and Prometheus."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from fastapi import APIRouter, Response, status
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.deps import ServicesDep
from app.api.in_store import in_store
from app.api.schemas import LiveOut, ReadyOut, WorkerOut
from app.jobs.errors import StoreUnavailableError
from app.jobs.roster import Worker
from app.serving.loader import ServedModel

router = APIRouter(tags=["health"])

T = TypeVar("T")

_STORE_PATIENCE_S = 1.0


@router.get("/health/live")
async def live() -> LiveOut:
    """Answer while the process runs."""
    return LiveOut()


@router.get(
    "/health/ready",
    responses={503: {"model": ReadyOut, "description": "Models are still being loaded"}},
)
async def ready(response: Response, services: ServicesDep) -> ReadyOut:
    """Answer 200 once every available model is loaded and warm."""
    registry = services.registry
    workers: list[Worker] = []
    with suppress(StoreUnavailableError, TimeoutError):  # they are reported, not required
        workers = await _soon(services.roster.workers)
    if not registry.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadyOut(
        status="ready" if registry.ready else "loading",
        models={name: isinstance(model, ServedModel) for name, model in registry.models.items()},
        workers=[WorkerOut.model_validate(each) for each in workers if each.is_alive],
    )


@router.get("/metrics", response_class=Response)
async def metrics(services: ServicesDep) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    with suppress(StoreUnavailableError, TimeoutError):
        for job_status, count in (await _soon(services.jobs.counts)).items():
            services.metrics.jobs.labels(job_status.value).set(count)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _soon(call: Callable[[], T]) -> T:
    """Ask the store, which may be locked; raises TimeoutError when it does not answer soon."""
    return await asyncio.wait_for(asyncio.shield(in_store(call)), _STORE_PATIENCE_S)
