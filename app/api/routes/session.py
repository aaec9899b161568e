"""`/session`: a browser shows its key once and gets a cookie, which no script can read.

Pictures and event streams are fetched by the browser itself, which cannot send a key with them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field

from app.api.auth.identity import COOKIE, UnknownKeyError
from app.api.deps import ServicesDep
from app.api.errors import problem_responses
from app.api.middleware.csrf import CrossSiteError, UnknownHostError
from app.api.schemas.common import Schema
from app.api.uploads.body import UploadTimeouts
from app.api.uploads.json_body import REFUSALS, json_body, json_request_body

router = APIRouter(prefix="/session", tags=["session"])


class SessionIn(BaseModel):
    """The request body that opens a session."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(max_length=200, description="as `python -m app key new` has shown it")


_SHOWN_KEY = json_body(
    SessionIn, max_bytes=1_000, timeouts=UploadTimeouts(timeout_s=5.0, stall_s=5.0)
)
"""Without a key nobody may send more, or take longer."""


class SessionOut(Schema):
    """The caller."""

    required: bool = Field(description="whether a key is needed at all")
    name: str | None = Field(description="whose key it is; null without a valid one")


@router.get("", responses=problem_responses(UnknownHostError))
async def show_session(request: Request, services: ServicesDep) -> SessionOut:
    """Say whether a key is needed, and whose the caller has shown."""
    required = bool(services.authenticator.keyring)
    return SessionOut(required=required, name=request.state.caller)


@router.post(
    "",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    openapi_extra=json_request_body(SessionIn),
    responses=problem_responses(UnknownHostError, CrossSiteError, UnknownKeyError, *REFUSALS),
)
async def open_session(
    request: Request,
    response: Response,
    shown: Annotated[SessionIn, Depends(_SHOWN_KEY)],
    services: ServicesDep,
) -> None:
    """Exchange a key for a cookie."""
    authenticator = services.authenticator
    response.set_cookie(
        COOKIE,
        authenticator.open_session(shown.key),
        max_age=authenticator.session_ttl_s,
        secure=_is_over_tls(request),
        httponly=True,
        samesite="strict",
    )


def _is_over_tls(request: Request) -> bool:
    """Return whether the browser uses TLS, if only as far as a proxy that does not report it."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")


@router.delete(
    "",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problem_responses(UnknownHostError, CrossSiteError),
)
async def end_session(response: Response) -> None:
    """Take the cookie back, and have the browser forget what the page has kept there."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
