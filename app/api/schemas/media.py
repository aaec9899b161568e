"""OpenAPI descriptions of headers and binary bodies."""

from collections.abc import Mapping
from typing import Any

BINARY = {"type": "string", "format": "binary"}
REFERENCES = "#/components/schemas/{model}"
"""The place of schemas that a body's schema refers to."""

PICTURES = ("image/jpeg", "image/png", "image/webp")


def header(description: str, example: str, *, required: bool = True) -> dict[str, Any]:
    """Describe a response header."""
    schema = {"type": "string", "examples": [example]}
    return {"description": description, "required": required, "schema": schema}


RETRY_AFTER = {
    "description": "seconds after which to try again",
    "schema": {"type": "integer", "minimum": 1, "examples": [5]},
}
CACHE_CONTROL = {"Cache-Control": header("caching rules", "private, max-age=3600")}


def files(
    description: str, *media_types: str, headers: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Declare that a route returns a file of one of these types."""
    return {
        200: {
            "description": description,
            "content": {media_type: {"schema": BINARY} for media_type in media_types},
            "headers": dict(headers or {}),
        }
    }
