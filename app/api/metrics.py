"""`/metrics`: for Prometheus."""

from contextlib import suppress

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.deps import ServicesDep
from app.api.health import soon
from app.jobs.errors import StoreUnavailableError

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics"}
    },
)
async def metrics(services: ServicesDep) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    with suppress(StoreUnavailableError, TimeoutError):
        for job_status, count in (await soon(services.jobs.counts)).items():
            services.metrics.jobs.labels(job_status.value).set(count)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
