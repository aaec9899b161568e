"""Problem documents (RFC 9457), and the errors of the HTTP layer, each with its problem type."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.api.schemas.common import FieldProblem, Problem
from app.errors import AtelierError

ERROR_RESPONSE = "error_response"
"""Key in `scope["state"]` for the error response class of another protocol."""


@dataclass(frozen=True)
class ProblemType:
    """A kind of failure that clients can tell by its code.

    `detail` replaces the error's own message where that is for operators, as it may name hosts and
    paths. The message is then logged.
    """

    status: int
    code: str
    title: str
    retry_after_s: int | None = None
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


INVALID_REQUEST = ProblemType(422, "invalid_request", "The request is not valid")
INTERNAL_ERROR = ProblemType(500, "internal_error", "The service failed")


class ApiError(AtelierError):
    """Base of the errors of the HTTP layer.

    A subclass names its problem type. An instance may name the field of the request that has to
    change, and the time in seconds after which the client may try again.
    """

    problem_type: ClassVar[ProblemType]

    def __init__(
        self, detail: str, *, field: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidRequestError(ApiError):
    """A request that contradicts itself in a way that no single field shows."""

    problem_type = INVALID_REQUEST


class FieldError(AtelierError):
    """An error of a lower layer, caused by the value of one form field."""

    def __init__(self, field: str, error: AtelierError) -> None:
        super().__init__(str(error))
        self.field = field
        self.error = error


@contextmanager
def form_field(name: str, *errors: type[AtelierError]) -> Iterator[None]:
    """Add the name of the form field to errors of these types.

    Raises:
        FieldError: one of these errors was raised inside the block.
    """
    try:
        yield
    except errors as error:
        raise FieldError(name, error) from error


class ProblemResponse(JSONResponse):
    """A response with a problem document, or with its equivalent in the request's protocol."""

    media_type = "application/problem+json"

    def __init__(self, document: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(document.model_dump(), document.status, headers)
        self._document = document
        self._own_headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        other = scope.get("state", {}).get(ERROR_RESPONSE)
        if other is None:
            await super().__call__(scope, receive, send)
        else:
            response = other(self._document, self._own_headers)
            await response(scope, receive, send)


def problem(
    problem_type: ProblemType,
    detail: str,
    errors: list[FieldProblem] | None = None,
    field: str | None = None,
) -> Problem:
    """Return the problem document."""
    return Problem(
        type=f"urn:atelier:problem:{problem_type.code}",
        title=problem_type.title,
        status=problem_type.status,
        detail=detail,
        code=problem_type.code,
        field=field,
        errors=errors,
    )
