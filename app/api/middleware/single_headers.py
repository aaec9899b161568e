"""Headers that a request may have only once, because readers would choose among several."""

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

_SINGLE = ("idempotency-key", "inference-header-content-length", "x-request-timeout")


async def check_single_headers(request: Request) -> None:
    """Refuse requests that repeat such a header.

    Raises:
        RequestValidationError: a header is repeated.
    """
    repeated = [name for name in _SINGLE if len(request.headers.getlist(name)) > 1]
    if repeated:
        raise RequestValidationError(
            [
                {"type": "repeated", "loc": ("header", name), "msg": "Send this header once."}
                for name in repeated
            ]
        )
