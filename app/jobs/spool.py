"""Where large files are received, on the disk of this host, before they are stored."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.jobs.durable import make_folder


class Incoming:
    """A large file that is being received; `sha256` and `size_bytes` are of what came so far."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.size_bytes = 0
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Append bytes."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def sync(self) -> None:
        """Bring all of it to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


class Spool:
    """A folder in the data directory, on the same file system. All methods raise OSError."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / "incoming"

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Open a new file to receive into; it is deleted at the end unless it was moved away."""
        make_folder(self._folder)
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                yield Incoming(Path(name), file)
        finally:
            Path(name).unlink(missing_ok=True)

    def older_than(self, age_s: float) -> list[tuple[str, float]]:
        """Return the names of the files that have not grown for so long, and when they last did."""
        latest = time.time() - age_s
        found = []
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                written_at = path.stat().st_mtime
                if written_at <= latest:
                    found.append((path.name, written_at))
        return found

    def delete(self, name: str) -> None:
        """Delete a file; its process has died. No error if it is not there."""
        (self._folder / name).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Free space of the disk."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._data_dir).free
