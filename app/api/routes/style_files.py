"""The built-in styles by name."""

from pathlib import Path

from app.errors import AtelierError
from app.style.builtin import NAMES, path_of


class UnknownStyleError(AtelierError):
    """There is no built-in style of that name."""


def style_path(name: str) -> Path:
    """Find the file of a built-in style.

    Raises:
        UnknownStyleError: there is no style of that name.
    """
    path = path_of(name)
    if path is None:
        raise UnknownStyleError(f"there is no style {name!r}; the styles are: {', '.join(NAMES)}")
    return path
