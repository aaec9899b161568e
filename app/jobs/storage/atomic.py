"""Atomic and durable file writes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file atomically, replacing an existing one.

    Raises:
        OSError: the file cannot be written; an existing one is unchanged.
    """
    with unnamed(path, data) as temporary:
        temporary.replace(path)
    sync(path.parent)


@contextmanager
def unnamed(path: Path, data: bytes) -> Iterator[Path]:
    """Open a temporary file beside its final path; it is deleted at the end unless it was moved."""
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
    """Create a folder and its parents, durably."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
