"""Atomic and durable file writes, and small JSON files."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

_UNFINISHED = ".unfinished"
_PRIVATE = 0o600
_PUBLIC = 0o666  # less the umask


@contextmanager
def atomic_write(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` once it is written and synced.

    Only this user can read a private file.

    Raises:
        OSError: the file cannot be written; an existing one is unchanged.
    """
    with _temporary(path, _PRIVATE if private else _PUBLIC) as temporary:
        with temporary.open("wb") as file:
            yield file
            sync_file(file)
        temporary.replace(path)
    sync(path.parent)


@contextmanager
def written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Write and sync a private file beside its final path; delete it at the exit if it is there."""
    with _temporary(path, _PRIVATE) as temporary:
        with temporary.open("wb") as file:
            file.write(data)
            sync_file(file)
        yield temporary


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files of killed writers; there must be no active writer."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


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


def sync_file(file: BinaryIO) -> None:
    """Flush an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


class JsonFile:
    """A cache in a file with one JSON object. A damaged file is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        """Return the value of a key, or None."""
        return self._read().get(key)

    def put(self, key: str, value: Any) -> None:
        """Store the value of a key.

        Raises:
            OSError: the file cannot be written.
        """
        text = json.dumps({**self._read(), key: value}, indent=2)
        make_folder(self._path.parent)
        with atomic_write(self._path) as file:
            file.write(text.encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@contextmanager
def _temporary(path: Path, mode: int) -> Iterator[Path]:
    """Create an empty file beside a path; delete it at the exit unless it was moved."""
    temporary = path.with_name(f".{uuid4().hex}{_UNFINISHED}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
