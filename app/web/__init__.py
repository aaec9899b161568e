"""The web page: HTML, CSS and ES modules without a build step."""

from pathlib import Path

FOLDER = Path(__file__).parent
SUFFIXES = {".css", ".html", ".jpg", ".js", ".svg", ".zip"}


def files() -> dict[str, Path]:
    """Return the files of the page by their paths relative to its folder."""
    return {
        path.relative_to(FOLDER).as_posix(): path
        for path in FOLDER.rglob("*")
        if path.suffix in SUFFIXES
    }
