"""A spool on the local disk, where large uploads are received before they are stored."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.files import make_folder


class Incoming:
    """A large file that is being received. `sha256` and `size_bytes` cover the bytes so far."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.size_bytes = 0
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest in hexadecimal."""
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Append bytes."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def sync(self) -> None:
        """Flush the file to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


class Spool:
    """A folder in the data directory, on the same file system. All methods raise OSError.

    A process locks its files, and the locks end with the process.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / "incoming"

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Open a new file; it is deleted at the end unless it was moved away."""
        make_folder(self._folder)
        file = self._locked()
        try:
            with file:
                yield Incoming(Path(file.name), file)
        finally:
            Path(file.name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete the files of processes that have died."""
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _locked(self) -> IO[bytes]:
        """Create a locked file; try again if a cleanup deleted it before the lock."""
        while True:
            file = tempfile.NamedTemporaryFile(dir=self._folder, delete=False)  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._data_dir).free
