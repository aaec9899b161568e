"""The storage protocol for the files of jobs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

PIECE_BYTES = 64 * 1024
"""The largest chunk that a `StoredFile` returns."""


class StoredFile(Protocol):
    """An open file that is read from its start. The errors are those of `FileStorage`."""

    size_bytes: int

    def read(self) -> bytes:
        """Return the next chunk; it is empty at the end."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class FileStorage(Protocol):
    """A storage of files under keys such as `jobs/ID/1/result.png`.

    Files are written atomically and never change: each writer has its own keys. All methods raise
    OSError: FileNotFoundError if there is no file with a key, and others if it cannot be read or
    written at the moment (StorageOfflineError: the storage is unreachable).
    """

    origin: str | None
    """The origin of links, or None if there are no links."""

    def put(self, key: str, data: bytes, *, download_as: str | None = None) -> str:
        """Write a file durably and return its key. An existing file is kept.

        `download_as` is the file name for clients that download by a link.
        """
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Store a local file, which may be moved, and return the key."""
        ...

    def get(self, key: str) -> bytes:
        """Return the contents of a file."""
        ...

    def open(self, key: str) -> StoredFile:
        """Open a file for reading in chunks. It may be deleted meanwhile."""
        ...

    def at_hand(self, key: str, came: Callable[[], None]) -> AbstractContextManager[Path]:
        """Provide a file as a local file with random access, until the exit.

        `came` is called regularly while the file is downloaded.
        """
        ...

    def size_bytes(self, key: str) -> int:
        """Return the size of a file."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether a file exists."""
        ...

    def copy(self, key: str, new_key: str) -> str:
        """Copy a file to another key, and return that key."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file, if it exists."""
        ...

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete the files of a folder except those listed."""
        ...

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Return the keys of the files in a folder that are older than an age."""
        ...

    def sweep(self, folder: str, age_s: float, choose: Callable[[set[str]], set[str]]) -> int:
        """Delete old files of a folder, and return their number.

        `choose` gets the keys of the old files and returns those to delete.
        """
        ...

    def link(self, key: str) -> str | None:
        """Return a URL that is valid for an hour, or None if the storage has no links."""
        ...
