"""`/health` and `/metrics`: for orchestrators and Prometheus."""

from contextlib import suppress

from fastapi import APIRouter, Response, status
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from app.api.deps import ServicesDep
from app.api.schemas import LiveOut, ReadyOut, WorkerOut
from app.jobs.errors import StoreUnavailableError
from app.serving.registry import ServedModel

router = APIRouter(tags=["health"])


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
    try:
        workers = await run_in_threadpool(services.roster.workers)
    except StoreUnavailableError:
        workers = []
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
    with suppress(StoreUnavailableError):
        for job_status, count in (await run_in_threadpool(services.jobs.counts)).items():
            services.metrics.jobs.labels(job_status.value).set(count)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
