"""`GET /`: the page, and the files that it is made of."""

import functools
import hashlib
import mimetypes
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.exceptions import HTTPException

from app import web
from app.api.deps import ServicesDep

router = APIRouter(include_in_schema=False)

_POLICY = "; ".join(
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
_FILE_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for again by its ETag
}
_PAGE_HEADERS = {
    **_FILE_HEADERS,
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
_TYPES = {".js": "text/javascript"}  # which some hosts call otherwise

IfNoneMatch = Annotated[str | None, Header()]


@router.get("/")
def page(services: ServicesDep, if_none_match: IfNoneMatch = None) -> Response:
    """Show the page."""
    origin = services.storage.origin
    policy = _POLICY.format(pictures=f" {origin}" if origin else "")
    headers = {**_PAGE_HEADERS, "Content-Security-Policy": policy}
    return _answer(_files()["index.html"], if_none_match, headers)


@router.get("/web/{name:path}")
def file(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Fetch a file that the page consists of."""
    path = _files().get(name)
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return _answer(path, if_none_match, _FILE_HEADERS)


@functools.cache
def _files() -> Mapping[str, Path]:
    return web.files()


@functools.cache
def _read(path: Path) -> tuple[bytes, str]:
    """Return a file with its ETag; clients that do not read share the bytes."""
    data = path.read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _answer(path: Path, if_none_match: str | None, headers: Mapping[str, str]) -> Response:
    data, etag = _read(path)
    headers = {**headers, "ETag": etag}
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=dict(headers))
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Response(data, media_type=media_type, headers=dict(headers))
