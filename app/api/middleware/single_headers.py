"""Headers that a request may have once: of several, each reader could take another."""

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

_SINGLE = ("idempotency-key", "inference-header-content-length", "x-request-timeout")


async def check_single_headers(request: Request) -> None:
    """Refuse requests that send such a header more than once.

    Raises:
        RequestValidationError: there is one.
    """
    repeated = [name for name in _SINGLE if len(request.headers.getlist(name)) > 1]
    if repeated:
        raise RequestValidationError(
            [
                {"type": "repeated", "loc": ("header", name), "msg": "Send this header once."}
                for name in repeated
            ]
        )
