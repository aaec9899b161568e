"""Turns errors into problem documents (RFC 9457). The only place that knows status codes.

Paths of the Open Inference Protocol are answered in its own form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.api import (
    allowance,
    arriving,
    foresight,
    identity,
    inflating,
    multipart,
    origins,
    style_files,
    submissions,
    uploads,
)
from app.api.media import RETRY_AFTER
from app.api.methods import allowed
from app.api.schemas import FieldProblem, Problem
from app.api.v2 import errors as protocol
from app.api.v2.errors import is_of_protocol
from app.api.v2.schemas import ProtocolError
from app.evaluation import errors as evaluation
from app.jobs import errors as jobs
from app.jobs.job import Fault
from app.serving import errors as serving
from app.vision import errors as vision
from app.vision.errors import AtelierError

M = TypeVar("M", bound=BaseModel)
_CLIENT_CLOSED_REQUEST = 499  # nobody reads it; it keeps the log and the metrics honest


@dataclass(frozen=True)
class Kind:
    """How one class of error looks from outside."""

    status: int
    code: str
    title: str
    retry_after_s: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class InvalidRequestError(AtelierError):
    """The request contradicts itself, in a way that no field shows by itself.

    `field` is the one to change, if it is one.
    """

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class StreamEndedError(AtelierError):
    """The client has had the end of this stream already."""


INVALID_REQUEST = Kind(422, "invalid_request", "The request is not valid")
INTERNAL_ERROR = Kind(500, "internal_error", "The service failed")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="atelier"'}
KINDS: dict[type[Exception], Kind] = {
    origins.UnknownHostError: Kind(421, "unknown_host", "The service has another name"),
    origins.CrossSiteError: Kind(403, "cross_site", "The request comes from another site"),
    identity.KeyRequiredError: Kind(401, "key_required", "A key is needed", headers=_CHALLENGE),
    identity.UnknownKeyError: Kind(401, "unknown_key", "The key is not valid", headers=_CHALLENGE),
    identity.NotAdminError: Kind(403, "not_admin", "Only for administrators"),
    allowance.RateLimitedError: Kind(
        429, "rate_limited", "Too much in one minute", retry_after_s=60
    ),
    vision.UnsupportedFormatError: Kind(415, "unsupported_format", "Not a supported image"),
    vision.UndecodableImageError: Kind(422, "undecodable_image", "The image cannot be decoded"),
    vision.ImageTooLargeError: Kind(413, "image_too_large", "The image is too large"),
    uploads.UnsupportedUploadError: Kind(415, "unsupported_media_type", "Not a supported upload"),
    inflating.UnsupportedEncodingError: Kind(
        415, "unsupported_encoding", "Not a supported Content-Encoding"
    ),
    multipart.MalformedUploadError: Kind(422, "malformed_upload", "The upload is malformed"),
    arriving.UploadTooLargeError: Kind(413, "request_too_large", "The request is too large"),
    arriving.UploadTimeoutError: Kind(408, "upload_timeout", "The upload took too long"),
    uploads.UploadsBusyError: Kind(503, "overloaded", "The service is busy", retry_after_s=1),
    serving.UnknownModelError: Kind(404, "unknown_model", "There is no such model"),
    serving.ModelUnavailableError: Kind(
        503, "model_unavailable", "The model is not available", retry_after_s=5
    ),
    serving.ReloadInProgressError: Kind(
        409, "reload_in_progress", "Models are being loaded", retry_after_s=5
    ),
    serving.QueueFullError: Kind(503, "overloaded", "The service is busy", retry_after_s=1),
    serving.DeadlineError: Kind(
        503, "deadline_exceeded", "The answer was not ready in time", retry_after_s=1
    ),
    serving.InferenceError: Kind(500, "inference_failed", "The model failed"),
    InvalidRequestError: INVALID_REQUEST,
    protocol.MalformedInferenceError: Kind(
        400, "malformed_inference", "The inference request is malformed"
    ),
    protocol.UnknownVersionError: Kind(404, "unknown_version", "There is no such version"),
    style_files.UnknownStyleError: Kind(404, "unknown_style", "There is no such style"),
    evaluation.ArchiveError: Kind(422, "invalid_archive", "The archive cannot be used"),
    evaluation.ArchiveTooLargeError: Kind(413, "archive_too_large", "The archive is too large"),
    evaluation.NothingLabelledError: Kind(422, "nothing_labelled", "No image has a label"),
    evaluation.UnknownDatasetError: Kind(404, "unknown_dataset", "There is no such data set"),
    foresight.DoesNotFitError: Kind(422, "size_too_large", "The painting does not fit"),
    foresight.UnpaintableError: Kind(422, "unpaintable", "The photograph cannot be painted"),
    submissions.StillReceivingError: Kind(
        409, "still_receiving", "The first request still arrives", retry_after_s=1
    ),
    jobs.IdempotencyError: Kind(
        422, "idempotency_key_reused", "The key belongs to another request"
    ),
    jobs.UnknownJobError: Kind(404, "unknown_job", "There is no such job"),
    jobs.UnknownFileError: Kind(404, "unknown_file", "There is no such file"),
    jobs.JobStateError: Kind(409, "wrong_state", "The job is not in the state for this"),
    jobs.ResultExpiredError: Kind(410, "expired", "The files have been removed"),
    jobs.JobQueueFullError: Kind(429, "queue_full", "Too many jobs wait", retry_after_s=30),
    jobs.QuotaError: Kind(429, "quota_exceeded", "Too much is stored", retry_after_s=30),
    jobs.FilesTooLargeError: Kind(413, "files_too_large", "The files are too large to be stored"),
    jobs.StorageFullError: Kind(507, "storage_full", "The disk is full", retry_after_s=60),
    jobs.StorageUnavailableError: Kind(
        503, "storage_unavailable", "Files cannot be reached", retry_after_s=10
    ),
    jobs.StoreUnavailableError: Kind(
        503, "store_unavailable", "The job database does not answer", retry_after_s=2
    ),
}
_FAULTS = {
    "worker_crashed": Kind(500, "worker_crashed", "The worker crashed"),
    "invalid_job": Kind(422, "invalid_job", "The pictures cannot be painted"),
    "invalid_set": Kind(422, "invalid_set", "The images cannot be evaluated on"),
    "model_unavailable": Kind(503, "model_unavailable", "The model is not available"),
    "model_replaced": Kind(409, "model_replaced", "The model has been replaced"),
    "files_missing": Kind(410, "files_missing", "Files of the job have gone"),
    "out_of_memory": Kind(422, "out_of_memory", "The painting does not fit"),
    "storage_failed": Kind(507, "storage_failed", "The files cannot be stored"),
}


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
    """Describe one of our own errors; its message is shown to the client."""
    field = error.field if isinstance(error, AtelierError) else None
    return problem(KINDS[type(error)], str(error), field=field)


def fault_problem(fault: Fault) -> Problem:
    """Describe why a job failed."""
    return problem(_FAULTS.get(fault.code, INTERNAL_ERROR), fault.detail)


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Build a model of a request's fields.

    Raises:
        RequestValidationError: they are not valid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from error


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


_PROBLEM_SCHEMA = f"#/components/schemas/{Problem.__name__}"


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
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return _response(KINDS[type(error)], problem_of(error), headers)


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
    errors = [
        FieldProblem(field=".".join(map(str, found["loc"])), message=found["msg"])
        for found in error.errors()
    ]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
    document = problem(INVALID_REQUEST, detail, errors, _only_field(error))
    return _response(INVALID_REQUEST, document)


def _only_field(error: RequestValidationError) -> str | None:
    """The field of the body that is wrong, if nothing else is."""
    places = [found["loc"] for found in error.errors()]
    fields = {place[1] if place[0] == "body" and len(place) > 1 else None for place in places}
    only = fields.pop() if len(fields) == 1 else None
    return only if isinstance(only, str) else None


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
