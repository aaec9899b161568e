"""Errors of the Open Inference Protocol, and their form.

path --served--> model               UnknownVersionError (and serving's errors of models)
body --framing--> request, bytes     MalformedInferenceError
request, bytes --tensors--> images   MalformedInferenceError
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from app.api.errors import problem_responses
from app.api.problems import ApiError, ProblemType
from app.api.schemas.common import Problem
from app.api.v2.schemas import ProtocolError
from app.errors import AtelierError


class MalformedInferenceError(ApiError):
    """The request does not follow the protocol, or the model's metadata."""

    problem_type = ProblemType(400, "malformed_inference", "The inference request is malformed")


class UnknownVersionError(ApiError):
    """The model is served in another version."""

    problem_type = ProblemType(404, "unknown_version", "There is no such version")


class ProtocolErrorResponse(JSONResponse):
    """An error in the form of the Open Inference Protocol."""

    def __init__(self, document: Problem, headers: Mapping[str, str]) -> None:
        super().__init__({"error": document.detail}, document.status, headers)


def protocol_responses(*errors: type[AtelierError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these errors, in the form of the protocol."""
    return {
        status: {**declared, "model": ProtocolError, "content": {}}
        for status, declared in problem_responses(*errors).items()
    }
