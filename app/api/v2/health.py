"""`/v2/health`: for orchestrators that know the Open Inference Protocol; a status says it all."""

from fastapi import APIRouter, Response

from app.api.deps import ServicesDep
from app.api.errors import in_protocol_form, problem_responses
from app.serving.errors import ModelUnavailableError

router = APIRouter(prefix="/v2/health", tags=["open inference protocol"])


@router.get("/live", response_class=Response)
async def server_live() -> Response:
    """Answer while the process runs."""
    return Response()


@router.get(
    "/ready",
    response_class=Response,
    responses=in_protocol_form(problem_responses(ModelUnavailableError)),
)
async def server_ready(services: ServicesDep) -> Response:
    """Answer 200 once every available model is loaded and warm."""
    if not services.registry.ready:
        raise ModelUnavailableError("models are being loaded")
    return Response()
