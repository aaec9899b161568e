"""`GET /styles`: the built-in styles, with their pictures."""

import functools
import io
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter
from PIL import Image

from app.api.errors import problem_responses
from app.api.problems import ApiError, ProblemType
from app.api.schemas.common import Schema
from app.api.schemas.media import CACHE_CONTROL, files
from app.style.builtin import NAMES, path_of

router = APIRouter(prefix="/styles", tags=["stylize"])

_THUMBNAIL_PX = 256
_CACHED = {"Cache-Control": "public, max-age=86400"}


class UnknownStyleError(ApiError):
    """There is no built-in style of that name."""

    problem_type = ProblemType(404, "unknown_style", "There is no such style")


_RESPONSES = {
    **files("A picture", "image/jpeg", headers=CACHE_CONTROL),
    **problem_responses(UnknownStyleError),
}

StyleName = Annotated[
    str, PathParameter(description="one of `GET /styles`", examples=list(NAMES[:1]))
]


class StyleLinksOut(Schema):
    """Links to a style's pictures."""

    image: str
    thumbnail: str


class StyleOut(Schema):
    """A built-in style."""

    name: str
    links: StyleLinksOut


class StylesOut(Schema):
    """All built-in styles."""

    styles: list[StyleOut]


@router.get("")
async def list_styles() -> StylesOut:
    """List the built-in styles."""
    return StylesOut(
        styles=[
            StyleOut(
                name=name,
                links=StyleLinksOut(
                    image=f"/styles/{name}/image", thumbnail=f"/styles/{name}/thumbnail"
                ),
            )
            for name in NAMES
        ]
    )


@router.get("/{name}/image", response_class=Response, responses=_RESPONSES)
def style_image(name: StyleName) -> Response:
    """Return a style's picture, a JPEG."""
    return Response(style_path(name).read_bytes(), media_type="image/jpeg", headers=_CACHED)


@router.get("/{name}/thumbnail", response_class=Response, responses=_RESPONSES)
def style_thumbnail(name: StyleName) -> Response:
    """Return a small version of a style's picture, a JPEG."""
    return Response(_thumbnail(style_path(name)), media_type="image/jpeg", headers=_CACHED)


@functools.cache
def _thumbnail(path: Path) -> bytes:
    with Image.open(path) as picture:
        picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def style_path(name: str) -> Path:
    """Return the file of a built-in style.

    Raises:
        UnknownStyleError: there is no style of that name.
    """
    path = path_of(name)
    if path is None:
        raise UnknownStyleError(f"there is no style {name!r}; the styles are: {', '.join(NAMES)}")
    return path
