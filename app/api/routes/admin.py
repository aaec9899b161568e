"""`/admin`: requests of administrators."""

from fastapi import APIRouter

from app.api.auth.identity import NotAdminError
from app.api.deps import AdminDep, ServicesDep
from app.api.errors import problem_responses
from app.api.schemas.common import ReloadedOut, ReloadsOut
from app.serving.errors import ReloadInProgressError

router = APIRouter(prefix="/admin", tags=["admin"])


@router.post("/reload", responses=problem_responses(NotAdminError, ReloadInProgressError))
async def reload(_admin: AdminDep, services: ServicesDep) -> ReloadsOut:
    """Load changed checkpoints without a restart. The response comes when all of them are warm."""
    found = await services.reloader.reload()
    return ReloadsOut(
        models={name: ReloadedOut.model_validate(each) for name, each in found.items()}
    )
