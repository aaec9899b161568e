"""`GET /limits`: the limits of the service."""

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.schemas.common import LimitsOut

router = APIRouter(tags=["limits"])


@router.get("/limits")
async def limits(services: ServicesDep) -> LimitsOut:
    """Return the limits. Larger requests are refused."""
    return services.limits
