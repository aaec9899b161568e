"""Turns errors into problem documents (RFC 9457).

Paths of the Open Inference Protocol are answered in its own form.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.api.middleware.methods import allowed
from app.api.problems import FAULTS, INTERNAL_ERROR, INVALID_REQUEST, KINDS, Kind
from app.api.schemas.common import FieldProblem, Problem
from app.api.schemas.media import RETRY_AFTER
from app.api.v2.errors import is_of_protocol
from app.api.v2.schemas import ProtocolError
from app.errors import AtelierError
from app.jobs.model import Fault

log = structlog.stdlib.get_logger(__name__)
M = TypeVar("M", bound=BaseModel)
_PROBLEM_SCHEMA = f"#/components/schemas/{Problem.__name__}"
_ERRORS_SHOWN = 20
_LONGEST_FIELD = 100
_CLIENT_CLOSED_REQUEST = 499  # nobody reads it; it keeps the log and the metrics honest


class StreamEndedError(AtelierError):
    """The client has had the end of this stream already."""


class ProblemResponse(JSONResponse):
    """A problem document, or what the Open Inference Protocol has instead, if the path is its."""

    media_type = "application/problem+json"

    def __init__(self, document: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(document.model_dump(), document.status, headers)
        self._in_protocol_form = partial(
            JSONResponse, {"error": document.detail}, document.status, headers
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if is_of_protocol(scope["path"]):
            await self._in_protocol_form()(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def problem_of(error: Exception) -> Problem:
    """Describe one of our own errors, with its message unless its kind has another text."""
    field = error.field if isinstance(error, AtelierError) else None
    kind = KINDS[type(error)]
    return problem(kind, kind.detail or str(error), field=field)


def fault_problem(fault: Fault) -> Problem:
    """Describe why a job failed."""
    return problem(FAULTS.get(fault.code, INTERNAL_ERROR), fault.detail)


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Build a model of a request's fields.

    Raises:
        RequestValidationError: they are not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_body(error) from error


def invalid_body(error: ValidationError) -> RequestValidationError:
    """Place the errors of a model in the request's body."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in errors])


def problem_responses(*errors: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """Declare in OpenAPI what a route may answer besides success, and always `invalid_request`."""
    kinds = [INVALID_REQUEST, *(KINDS[error] for error in errors)]
    return {
        status: _declared([kind for kind in kinds if kind.status == status])
        for status in sorted({kind.status for kind in kinds})
    }


def _declared(kinds: Sequence[Kind]) -> dict[str, Any]:
    """Describe the answer to errors of one status."""
    waits = [kind.retry_after_s is not None for kind in kinds]
    return {
        "model": Problem,
        "description": "; ".join(dict.fromkeys(f"{kind.title} (`{kind.code}`)" for kind in kinds)),
        "headers": {"Retry-After": {**RETRY_AFTER, "required": all(waits)}} if any(waits) else {},
        "content": {ProblemResponse.media_type: {"schema": {"$ref": _PROBLEM_SCHEMA}}},
    }


def in_protocol_form(
    responses: Mapping[int | str, Mapping[str, Any]],
) -> dict[int | str, dict[str, Any]]:
    """Declare the same errors for a route of the Open Inference Protocol."""
    return {
        status: {**declared, "model": ProtocolError, "content": {}}
        for status, declared in responses.items()
    }


def install(app: FastAPI) -> None:
    """Make the app answer every error with a problem document."""
    for error in KINDS:
        app.add_exception_handler(error, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(StreamEndedError, _on_stream_ended)


def internal_error() -> Response:
    """The answer to an error that nobody foresaw; what it was stays in the log."""
    detail = "an unexpected error; the log has it under this answer's X-Request-ID"
    return _response(INTERNAL_ERROR, problem(INTERNAL_ERROR, detail))


def problem(
    kind: Kind,
    detail: str,
    errors: list[FieldProblem] | None = None,
    field: str | None = None,
) -> Problem:
    """Describe an error of some kind."""
    return Problem(
        type=f"urn:atelier:problem:{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        code=kind.code,
        field=field,
        errors=errors,
    )


def response_to(error: Exception) -> Response:
    """Answer one of our own errors; one that knows when to come back says so."""
    kind = KINDS[type(error)]
    if kind.detail is not None:
        log.warning("request refused", code=kind.code, error=str(error))
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return _response(kind, problem_of(error), headers)


def _response(
    kind: Kind, document: Problem, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    headers = {**kind.headers, **(headers or {})}
    if kind.retry_after_s is not None:
        headers.setdefault("Retry-After", str(kind.retry_after_s))
    return ProblemResponse(document, headers)


def _on_known_error(_request: Request, error: Exception) -> Response:
    return response_to(error)


def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    errors = [_field_problem(each) for each in found[:_ERRORS_SHOWN]]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
    if len(found) > _ERRORS_SHOWN:
        detail += f"; and {len(found) - _ERRORS_SHOWN:,} more"
    document = problem(INVALID_REQUEST, detail, errors, _only_field(error))
    return _response(INVALID_REQUEST, document)


def _field_problem(found: Mapping[str, Any]) -> FieldProblem:
    return FieldProblem(field=_name_of(found["loc"]), message=found["msg"])


def _name_of(place: Sequence[str | int]) -> str:
    """Return the name of a place in a request, cut short: the client may have made it up."""
    return ".".join(map(str, place))[:_LONGEST_FIELD]


def _only_field(error: RequestValidationError) -> str | None:
    """The field of the body that is wrong, if nothing else is."""
    places = [found["loc"] for found in error.errors()]
    fields = {place[1] if place[0] == "body" and len(place) > 1 else None for place in places}
    only = fields.pop() if len(fields) == 1 else None
    return _name_of([only]) if isinstance(only, str) else None


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    kind = Kind(status.value, status.name.lower(), status.phrase)
    detail = f"{error.detail}: {request.method} {request.url.path}"
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed(request)
    return _response(kind, problem(kind, detail), headers)


def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


def _on_stream_ended(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)
