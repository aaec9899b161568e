"""The app as FastAPI makes it, with an OpenAPI document that tells errors as they are."""

from typing import Any

from fastapi import FastAPI

from app.api.errors import ProblemResponse


class DocumentedApp(FastAPI):
    """FastAPI declares every response model as JSON; here problems are problem documents only."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    if ProblemResponse.media_type in response.get("content", {}):
                        response["content"].pop("application/json", None)
        return document
