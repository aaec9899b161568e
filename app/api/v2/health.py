"""`/v2/health`: health probes of the Open Inference Protocol."""

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.v2.errors import protocol_responses
from app.api.v2.schemas import ServerLive, ServerReady
from app.serving.errors import ModelUnavailableError

router = APIRouter(prefix="/v2/health", tags=["open inference protocol"])


@router.get("/live")
async def server_live() -> ServerLive:
    """Return 200 while the process runs."""
    return ServerLive()


@router.get("/ready", responses=protocol_responses(ModelUnavailableError))
async def server_ready(services: ServicesDep) -> ServerReady:
    """Return 200 once every available model is loaded."""
    if not services.registry.ready:
        raise ModelUnavailableError("The models are being loaded. Try again later.")
    return ServerReady()
