"""`/v2/health`: for orchestrators that know the Open Inference Protocol."""

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.v2.errors import protocol_responses
from app.api.v2.schemas import ServerLive, ServerReady
from app.serving.errors import ModelUnavailableError

router = APIRouter(prefix="/v2/health", tags=["open inference protocol"])


@router.get("/live")
async def server_live() -> ServerLive:
    """Answer while the process runs."""
    return ServerLive()


@router.get("/ready", responses=protocol_responses(ModelUnavailableError))
async def server_ready(services: ServicesDep) -> ServerReady:
    """Answer 200 once every available model answers."""
    if not services.registry.ready:
        raise ModelUnavailableError("models are being loaded")
    return ServerReady()
