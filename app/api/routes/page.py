"""`GET /`: the page, and the files that it loads."""

import os
from pathlib import PurePath

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import web
from app.api.deps import ServicesDep

router = APIRouter(include_in_schema=False)

_CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:{pictures}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_PERMISSIONS_POLICY = "camera=(self), geolocation=(), microphone=()"


class _PageFiles(StaticFiles):
    """The files of the page; the folder's other files do not exist for clients."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if PurePath(path).suffix not in web.SUFFIXES:
            return "", None
        return super().lookup_path(path)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"  # browsers revalidate with the ETag
        if "Content-Type" in response.headers and PurePath(full_path).suffix == ".js":
            # The system's table of media types may name another one.
            response.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return response


_files = _PageFiles(directory=web.FOLDER)


@router.get("/")
async def page(request: Request, services: ServicesDep) -> Response:
    """Return the page."""
    origin = services.storage.origin
    policy = _CONTENT_SECURITY_POLICY.format(pictures=f" {origin}" if origin else "")
    response = await _files.get_response("index.html", request.scope)
    response.headers["Content-Security-Policy"] = policy
    response.headers["Permissions-Policy"] = _PERMISSIONS_POLICY
    return response


@router.get("/web/{name:path}")
async def file(name: str, request: Request) -> Response:
    """Return a file that the page loads."""
    return await _files.get_response(name, request.scope)
