"""JSON request bodies with limits on size and time, which FastAPI does not have."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.api.deps import ServicesDep
from app.api.errors import invalid_body
from app.api.problems import InvalidRequestError
from app.api.schemas.media import REFERENCES
from app.api.uploads.body import (
    UploadTimeoutError,
    UploadTimeouts,
    UploadTooLargeError,
    body_chunks,
)
from app.api.uploads.forms import UnsupportedUploadError

_MAX_BYTES = 4_096
_MAX_MEMBERS = 64

M = TypeVar("M", bound=BaseModel)

REFUSALS = (UploadTimeoutError, UploadTooLargeError, UnsupportedUploadError)
"""Errors of such a body, besides those of its fields."""


def json_body(
    model: type[M], *, max_bytes: int = _MAX_BYTES, timeouts: UploadTimeouts | None = None
) -> Callable[[Request, ServicesDep], Awaitable[M]]:
    """Return a dependency that reads the body as `model`. Declare it with `json_request_body`.

    Args:
        model: the model of the body, an object with few members.
        max_bytes: the largest size of the body.
        timeouts: the time to receive it; None for that of uploads.

    The dependency raises one of `REFUSALS`, or RequestValidationError.
    """

    async def read(request: Request, services: ServicesDep) -> M:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedUploadError("Send JSON with Content-Type: application/json.")
        body = bytearray()
        async for chunk in body_chunks(request, max_bytes, timeouts or services.uploads.timeouts):
            body += chunk
        if body.count(b",") >= _MAX_MEMBERS:  # each unknown one would become an error
            raise InvalidRequestError(f"The body may have at most {_MAX_MEMBERS} members.")
        try:
            return model.model_validate_json(bytes(body))
        except ValidationError as error:
            raise invalid_body(error) from error

    return read


def json_request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of such a body."""
    schema = {"application/json": {"schema": model.model_json_schema(ref_template=REFERENCES)}}
    return {"requestBody": {"required": True, "content": schema}}
