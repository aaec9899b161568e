"""Error handlers, which turn every error into a problem document."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.api.middleware.methods import allowed
from app.api.problems import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ApiError,
    FieldError,
    ProblemResponse,
    ProblemType,
    problem,
)
from app.api.schemas.common import FieldProblem, Problem
from app.api.schemas.media import RETRY_AFTER
from app.errors import AtelierError
from app.evaluation import errors as evaluation
from app.jobs import errors as jobs
from app.jobs.model import Fault
from app.serving import errors as serving
from app.vision import errors as vision

log = structlog.stdlib.get_logger(__name__)
M = TypeVar("M", bound=BaseModel)
_PROBLEM_SCHEMA = f"#/components/schemas/{Problem.__name__}"
_ERRORS_SHOWN = 20
_LONGEST_FIELD = 100
_CLIENT_CLOSED_REQUEST = 499  # for the log and the metrics; the client does not see it

_DOMAIN_ERRORS: dict[type[AtelierError], ProblemType] = {
    vision.UnsupportedFormatError: ProblemType(415, "unsupported_format", "Not a supported image"),
    vision.UndecodableImageError: ProblemType(
        422, "undecodable_image", "The image cannot be decoded"
    ),
    vision.ImageTooLargeError: ProblemType(413, "image_too_large", "The image is too large"),
    serving.UnknownModelError: ProblemType(404, "unknown_model", "There is no such model"),
    serving.ModelUnavailableError: ProblemType(
        503, "model_unavailable", "The model is not available", retry_after_s=5
    ),
    serving.ReloadInProgressError: ProblemType(
        409, "reload_in_progress", "Models are being loaded", retry_after_s=5
    ),
    serving.QueueFullError: ProblemType(503, "overloaded", "The service is busy", retry_after_s=1),
    serving.DeadlineError: ProblemType(
        503, "deadline_exceeded", "The answer was not ready in time", retry_after_s=1
    ),
    serving.InferenceError: ProblemType(500, "inference_failed", "The model failed"),
    evaluation.ArchiveError: ProblemType(422, "invalid_archive", "The archive cannot be used"),
    evaluation.ArchiveTooLargeError: ProblemType(
        413, "archive_too_large", "The archive is too large"
    ),
    evaluation.NoLabeledFilesError: ProblemType(422, "nothing_labelled", "No image has a label"),
    evaluation.UnknownDatasetError: ProblemType(
        404, "unknown_dataset", "There is no such data set"
    ),
    jobs.IdempotencyError: ProblemType(
        422, "idempotency_key_reused", "The key belongs to another request"
    ),
    jobs.UnknownJobError: ProblemType(404, "unknown_job", "There is no such job"),
    jobs.UnknownFileError: ProblemType(404, "unknown_file", "There is no such file"),
    jobs.JobStateError: ProblemType(409, "wrong_state", "The job is not in the state for this"),
    jobs.ResultExpiredError: ProblemType(410, "expired", "The files have been removed"),
    jobs.JobQueueFullError: ProblemType(429, "queue_full", "Too many jobs wait", retry_after_s=30),
    jobs.QuotaError: ProblemType(429, "quota_exceeded", "Too much is stored", retry_after_s=30),
    jobs.FilesTooLargeError: ProblemType(
        413, "files_too_large", "The files are too large to be stored"
    ),
    jobs.StorageFullError: ProblemType(507, "storage_full", "The disk is full", retry_after_s=60),
    jobs.StorageUnavailableError: ProblemType(
        503,
        "storage_unavailable",
        "Files cannot be reached",
        retry_after_s=10,
        detail="The files of jobs cannot be read or written at the moment. Try again later.",
    ),
    jobs.StoreUnavailableError: ProblemType(
        503,
        "store_unavailable",
        "The job database does not answer",
        retry_after_s=2,
        detail="The job database does not answer at the moment. Try again later.",
    ),
}
_JOB_FAILURES = {
    "worker_crashed": ProblemType(500, "worker_crashed", "The worker crashed"),
    "invalid_job": ProblemType(422, "invalid_job", "The pictures cannot be painted"),
    "invalid_set": ProblemType(422, "invalid_set", "The images cannot be used for an evaluation"),
    "model_unavailable": ProblemType(503, "model_unavailable", "The model is not available"),
    "model_replaced": ProblemType(409, "model_replaced", "The model has been replaced"),
    "files_missing": ProblemType(410, "files_missing", "Files of the job are missing"),
    "out_of_memory": ProblemType(422, "out_of_memory", "The painting does not fit"),
    "storage_failed": ProblemType(507, "storage_failed", "The files cannot be stored"),
}


class StreamEndedError(AtelierError):
    """The client has already received the end of this stream."""


def problem_of(error: AtelierError) -> Problem:
    """Describe an error. Messages for operators are replaced by the detail of the problem type."""
    problem_type = _type_of(error)
    field = error.field if isinstance(error, ApiError | FieldError) else None
    return problem(problem_type, problem_type.detail or str(error), field=field)


def fault_problem(fault: Fault) -> Problem:
    """Describe the failure of a job."""
    return problem(_JOB_FAILURES.get(fault.code, INTERNAL_ERROR), fault.detail)


def _type_of(error: AtelierError) -> ProblemType:
    cause = error.error if isinstance(error, FieldError) else error
    return _type_of_class(type(cause))


def _type_of_class(error: type[AtelierError]) -> ProblemType:
    return error.problem_type if issubclass(error, ApiError) else _DOMAIN_ERRORS[error]


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Validate a request's fields and return the model.

    Raises:
        RequestValidationError: the fields are not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_body(error) from error


def invalid_body(error: ValidationError) -> RequestValidationError:
    """Convert the errors of a model into errors of the request's body."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in errors])


def problem_responses(*errors: type[AtelierError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route for these errors, and for `invalid_request`."""
    types = [INVALID_REQUEST, *map(_type_of_class, errors)]
    return {
        status: _declared([each for each in types if each.status == status])
        for status in sorted({each.status for each in types})
    }


def _declared(types: Sequence[ProblemType]) -> dict[str, Any]:
    """Describe the response for problem types of one status."""
    waits = [each.retry_after_s is not None for each in types]
    return {
        "model": Problem,
        "description": "; ".join(dict.fromkeys(f"{each.title} (`{each.code}`)" for each in types)),
        "headers": {"Retry-After": {**RETRY_AFTER, "required": all(waits)}} if any(waits) else {},
        "content": {ProblemResponse.media_type: {"schema": {"$ref": _PROBLEM_SCHEMA}}},
    }


def install(app: FastAPI) -> None:
    """Register the handlers, so that every error response is a problem document."""
    for error in (ApiError, FieldError, *_DOMAIN_ERRORS):
        app.add_exception_handler(error, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(StreamEndedError, _on_stream_ended)


def internal_error() -> Response:
    """Return the response to an unexpected error, whose details are only logged."""
    detail = "An unexpected error occurred; the log has it under this response's X-Request-ID."
    return _response(INTERNAL_ERROR, problem(INTERNAL_ERROR, detail))


def response_to(error: AtelierError) -> Response:
    """Return the response to an error, with `Retry-After` if the error has a time to wait."""
    problem_type = _type_of(error)
    if problem_type.detail is not None:
        log.warning("request refused", code=problem_type.code, error=str(error))
    cause = error.error if isinstance(error, FieldError) else error
    retry_after_s = getattr(cause, "retry_after_s", None)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return _response(problem_type, problem_of(error), headers)


def _response(
    problem_type: ProblemType, document: Problem, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    headers = {**problem_type.headers, **(headers or {})}
    if problem_type.retry_after_s is not None:
        headers.setdefault("Retry-After", str(problem_type.retry_after_s))
    return ProblemResponse(document, headers)


def _on_known_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AtelierError)
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
    """Return the name of a field, truncated: a client may send a name of any length."""
    return ".".join(map(str, place))[:_LONGEST_FIELD]


def _only_field(error: RequestValidationError) -> str | None:
    """Return the only field of the body that is wrong, if there is exactly one."""
    places = [found["loc"] for found in error.errors()]
    fields = {place[1] if place[0] == "body" and len(place) > 1 else None for place in places}
    only = fields.pop() if len(fields) == 1 else None
    return _name_of([only]) if isinstance(only, str) else None


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    problem_type = ProblemType(status.value, status.name.lower(), status.phrase)
    detail = f"{error.detail}: {request.method} {request.url.path}"
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed(request)
    return _response(problem_type, problem(problem_type, detail), headers)


def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


def _on_stream_ended(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)
