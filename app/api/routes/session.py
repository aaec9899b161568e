"""`/session`: a browser sends its key once and gets a cookie that scripts cannot read.

Images and event streams are requested by the browser itself, which cannot add a key to them.
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

    key: str = Field(max_length=200, description="the key that `python -m app key new` printed")


_SHOWN_KEY = json_body(
    SessionIn, max_bytes=1_000, timeouts=UploadTimeouts(timeout_s=5.0, stall_s=5.0)
)
"""Limits for clients without a key."""


class SessionOut(Schema):
    """The caller."""

    required: bool = Field(description="whether the service needs a key")
    name: str | None = Field(description="the name of the caller's key; null without a valid one")


@router.get("", responses=problem_responses(UnknownHostError))
async def show_session(request: Request, services: ServicesDep) -> SessionOut:
    """Return whether the service needs a key, and the name of the caller."""
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
    """Return whether the browser uses TLS, also if a proxy ends it without saying so."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")


@router.delete(
    "",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problem_responses(UnknownHostError, CrossSiteError),
)
async def end_session(response: Response) -> None:
    """Delete the cookie, and let the browser clear what the page has stored."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
