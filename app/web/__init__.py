"""The page: plain HTML, CSS and ES modules, served as they are."""

from pathlib import Path

_FOLDER = Path(__file__).parent
_SHOWN = {".css", ".html", ".jpg", ".js", ".svg", ".zip"}


def files() -> dict[str, Path]:
    """Find the files of the page, by their paths from its folder."""
    return {
        path.relative_to(_FOLDER).as_posix(): path
        for path in _FOLDER.rglob("*")
        if path.suffix in _SHOWN
    }
