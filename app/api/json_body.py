"""Bodies in JSON, read with the care that uploads get: FastAPI reads them whole, however long."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.api.arriving import UploadTimeoutError, UploadTooLargeError, arriving
from app.api.deps import ServicesDep
from app.api.media import REFERENCES
from app.api.uploads import UnsupportedUploadError

_MAX_BYTES = 65_536

M = TypeVar("M", bound=BaseModel)

REFUSALS = (UploadTimeoutError, UploadTooLargeError, UnsupportedUploadError)
"""What may be wrong with such a body, besides its fields."""


def json_body(model: type[M]) -> Callable[[Request, ServicesDep], Awaitable[M]]:
    """Make a dependency that reads the body as `model`; declare it with `described`.

    The dependency raises one of `REFUSALS`, or RequestValidationError.
    """

    async def read(request: Request, services: ServicesDep) -> M:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedUploadError("send JSON with Content-Type: application/json")
        body = bytearray()
        async for chunk in arriving(request, _MAX_BYTES, services.uploads.patience):
            body += chunk
        try:
            return model.model_validate_json(bytes(body))
        except ValidationError as error:
            found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
            raise RequestValidationError(found) from error

    return read


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Describe such a body for OpenAPI."""
    schema = {"application/json": {"schema": model.model_json_schema(ref_template=REFERENCES)}}
    return {"requestBody": {"required": True, "content": schema}}
