"""The files of jobs, wherever they are kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

PIECE_BYTES = 64 * 1024
"""The most that a `StoredFile` reads at a time."""


class StoredFile(Protocol):
    """An open file, read from its start; errors are those of `FileStorage`."""

    size_bytes: int

    def read(self) -> bytes:
        """Read the next piece; empty at the end."""
        ...

    def close(self) -> None:
        """Let the file go."""
        ...


class FileStorage(Protocol):
    """Bytes under keys such as `jobs/ID/1/result.png`.

    A file is there whole or not at all, and never changes: every writer has keys of its own. All
    methods raise OSError as files do: FileNotFoundError where there is no file under a key, and
    others where it cannot be read or written for now (BlobsAwayError: it is out of reach).
    """

    origin: str | None
    """Where links lead, as browsers name it; None where there are none."""

    def put(self, key: str, data: bytes, *, download_as: str | None = None) -> str:
        """Write durably; a file that is there already stays. Returns the key.

        `download_as` is the name that a client gives to what it fetches by a link.
        """
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Write what is in a local file, which may be gone afterwards; returns the key."""
        ...

    def get(self, key: str) -> bytes:
        """Read all of it."""
        ...

    def open(self, key: str) -> StoredFile:
        """Open it, to read it piece by piece; it may be deleted meanwhile."""
        ...

    def at_hand(self, key: str, came: Callable[[], None]) -> AbstractContextManager[Path]:
        """Have it as a local file, to read anywhere in, until the exit.

        `came` is called now and then while it comes from afar.
        """
        ...

    def size_bytes(self, key: str) -> int:
        """Return the size of a file."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        ...

    def copy(self, key: str, new_key: str) -> str:
        """Make the same bytes available under another key; returns that key."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file; no error if it is not there."""
        ...

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete every file in a folder that is not named."""
        ...

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Return keys of the files in a folder that were written, or copied there, so long ago."""
        ...

    def sweep(self, folder: str, age_s: float, choose: Callable[[set[str]], set[str]]) -> int:
        """Delete files in a folder; returns how many.

        `choose` is given the keys of those that are so old, and returns those to delete.
        """
        ...

    def link(self, key: str) -> str | None:
        """Return a URL under which a client fetches it, for an hour, where the store can."""
        ...
