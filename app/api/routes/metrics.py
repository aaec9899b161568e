"""`/metrics` for Prometheus. Gauges are updated when they are read."""

import math
from contextlib import suppress

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.deps import Services, ServicesDep
from app.api.threads import soon_in_store
from app.jobs.errors import StoreUnavailableError

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response)
async def metrics(services: ServicesDep) -> Response:
    """Return all metrics in Prometheus' text format."""
    found = services.metrics
    found.upload_bytes.set(services.uploads.held_bytes)
    with suppress(OSError):
        found.free_disk_bytes.set(services.spool.free_bytes())
    try:
        await _look_up_jobs(services)
        found.database_up.set(1)
    except (StoreUnavailableError, TimeoutError):  # old values would look current
        found.database_up.set(0)
        found.jobs.clear()
        found.longest_wait_s.set(math.nan)
        found.workers.set(math.nan)
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)


async def _look_up_jobs(services: Services) -> None:
    counts = await soon_in_store(services.jobs.counts)
    longest_wait_s = await soon_in_store(services.jobs.longest_wait_s)
    workers = await soon_in_store(services.worker_registry.workers)
    found = services.metrics
    for status, count in counts.items():
        found.jobs.labels(status.value).set(count)
    found.longest_wait_s.set(longest_wait_s)
    found.workers.set(sum(worker.is_alive for worker in workers))
