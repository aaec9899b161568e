"""`GET /limits`: how much this service takes, to be known before something is sent."""

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.schemas.common import LimitsOut

router = APIRouter(tags=["limits"])


@router.get("/limits")
async def limits(services: ServicesDep) -> LimitsOut:
    """Show the limits; what is over them is refused."""
    return services.limits
