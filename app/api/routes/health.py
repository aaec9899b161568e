"""`/health`: health probes."""

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
    """Return 200 while the process runs."""
    return LiveOut()


@router.get(
    "/health/ready",
    responses={503: {"model": ReadyOut, "description": "Models are still being loaded"}},
)
async def ready(response: Response, services: ServicesDep) -> ReadyOut:
    """Return 200 once all available models are loaded, even if engines are still being selected."""
    registry = services.registry
    workers: list[RegisteredWorker] = []
    with suppress(StoreUnavailableError, TimeoutError):  # workers are reported, not required
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
    """Describe a worker without its host and its folder, because health probes need no key."""
    return WorkerOut(name=worker.name.rpartition("#")[2], device=worker.device, dtype=worker.dtype)
