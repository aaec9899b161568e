"""A FastAPI app with corrections to the generated OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from app.api.auth.identity import COOKIE
from app.api.middleware.access import is_open
from app.api.problems import ProblemResponse

_REQUEST_ID = "X-Request-ID"
_REQUEST_ID_HEADER = {
    "description": "the id of the request, as in the log",
    "required": True,
    "schema": {"type": "string", "examples": ["0b0c9a7c2b6f4a0f9a7c2b6f4a0f9a7c"]},
}
_REQUEST_ID_PARAMETER = {
    "name": _REQUEST_ID,
    "in": "header",
    "description": "an id for the request, 1 to 128 visible ASCII characters; default: generated",
    "schema": {"type": "string"},
}
_SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "a key of the service, if it has any",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "the session cookie that `POST /session` sets",
    },
}
_WITH_A_KEY: list[dict[str, list[str]]] = [{"key": []}, {"session": []}, {}]


class DocumentedApp(FastAPI):
    """A FastAPI app whose OpenAPI document is corrected."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            self.openapi_schema = _corrected(super().openapi())
        return self.openapi_schema


def _corrected(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]
    components["headers"] = {_REQUEST_ID: _REQUEST_ID_HEADER}
    components["parameters"] = {_REQUEST_ID: _REQUEST_ID_PARAMETER}
    components["securitySchemes"] = _SECURITY_SCHEMES
    for address, path in document["paths"].items():
        for operation in path.values():
            _correct(operation)
            operation["security"] = [] if is_open(address) else _WITH_A_KEY
            for schema in _body_schemas(operation):
                components["schemas"] |= schema.pop("$defs", {})
        path["parameters"] = [{"$ref": f"#/components/parameters/{_REQUEST_ID}"}]
    return document


def _correct(operation: Mapping[str, Any]) -> None:
    """Correct the media types of errors, nullable parameters, and the header of request ids."""
    for response in operation["responses"].values():
        problem = response.get("content", {}).get(ProblemResponse.media_type)
        if problem is not None:
            response["content"] = {ProblemResponse.media_type: problem}
        headers = response.setdefault("headers", {})
        headers[_REQUEST_ID] = {"$ref": f"#/components/headers/{_REQUEST_ID}"}
    for parameter in operation.get("parameters", []):
        parameter["schema"] = without_null(parameter["schema"])


def without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Remove null from a schema: parameters and form fields are omitted instead."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return dict(schema)
    return {**kinds[0], **{name: each for name, each in schema.items() if name != "anyOf"}}


def _body_schemas(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield media["schema"]
