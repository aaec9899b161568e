"""`/health`: for orchestrators."""

from contextlib import suppress

from fastapi import APIRouter, Response, status

from app.api.deps import ServicesDep
from app.api.schemas.common import LiveOut, ReadyOut, WorkerOut
from app.jobs.errors import StoreUnavailableError
from app.jobs.worker_registry import RegisteredWorker
from app.serving.loader import ServedModel

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
    """Answer 200 once every available model answers, even if an engine is still being selected."""
    registry = services.registry
    workers: list[RegisteredWorker] = []
    with suppress(StoreUnavailableError, TimeoutError):  # they are reported, not required
        workers = await services.recent_workers.get()
    if not registry.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadyOut(
        status="ready" if registry.ready else "loading",
        selecting=registry.selecting,
        models={name: isinstance(model, ServedModel) for name, model in registry.models.items()},
        workers=[_described(each) for each in workers if each.is_alive],
    )


def _described(worker: RegisteredWorker) -> WorkerOut:
    """Describe a worker to everybody: without the host and the folder in which it runs."""
    return WorkerOut(name=worker.name.rpartition("#")[2], device=worker.device, dtype=worker.dtype)
