"""Files that are there whole or not at all, and still there after the power was lost."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file, in the place of one that may be there.

    Raises:
        OSError: it cannot be written; what was there is left as it was.
    """
    with unnamed(path, data) as temporary:
        temporary.replace(path)
    sync(path.parent)


@contextmanager
def unnamed(path: Path, data: bytes) -> Iterator[Path]:
    """Write a file beside the name that it is to have; what is not moved is deleted at the end."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder with those above it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
