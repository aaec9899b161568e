"""The files of jobs, in a folder. A file is there whole or not at all."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_INCOMING = "incoming"
FOLDERS = ("jobs", _INCOMING)
"""Where all files are."""


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


class Blobs:
    """Bytes under keys such as `jobs/ID/1/result.png`. All methods raise OSError as files do."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> str:
        """Write durably and atomically; returns the key."""
        path = self.path(key)
        self._make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync(path.parent)
        return key

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Open a new file to receive into; it is deleted at the end unless it was adopted."""
        folder = self._root / _INCOMING
        self._make_folder(folder)
        handle, name = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                yield Incoming(Path(name), file)
        finally:
            Path(name).unlink(missing_ok=True)

    def adopt(self, incoming: Incoming, key: str) -> str:
        """Make what was received, and synced, a file under a key; returns the key."""
        path = self.path(key)
        self._make_folder(path.parent)
        incoming.path.replace(path)
        sync(path.parent)
        return key

    def get(self, key: str) -> bytes:
        """Read all of it."""
        return self.path(key).read_bytes()

    def size_bytes(self, key: str) -> int:
        """How large it is."""
        return self.path(key).stat().st_size

    def copy(self, key: str, new_key: str) -> str:
        """Make the same bytes available under another key; returns that key."""
        target = self.path(new_key)
        self._make_folder(target.parent)
        try:
            os.link(self.path(key), target)
        except OSError:  # a file system without hard links
            return self.put(new_key, self.get(key))
        sync(target.parent)
        return new_key

    def path(self, key: str) -> Path:
        """Where the file is, or will be."""
        return self._root / key

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete every file in a folder that is not named."""
        for path in self._files(folder):
            if self._key(path) not in keys:
                path.unlink(missing_ok=True)
        if not keys:
            shutil.rmtree(self.path(folder), ignore_errors=True)

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Keys of the files in a folder that were written, or copied there, so long ago."""
        latest = time.time() - age_s
        found = []
        for path in self._files(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if max(status.st_mtime, status.st_ctime) <= latest:  # a link changes only the latter
                found.append(self._key(path))
        return found

    def prune(self, folder: str, age_s: float) -> None:
        """Remove the empty folders in a folder that have not changed for so long."""
        latest = time.time() - age_s
        for parent, _, _ in os.walk(self.path(folder), topdown=False):
            with suppress(OSError):  # not empty, or just gone
                if parent != str(self.path(folder)) and Path(parent).stat().st_mtime <= latest:
                    Path(parent).rmdir()

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self.path(key).exists()

    def delete(self, key: str) -> None:
        """Delete a file, and its folders where they are empty then; no error if it is not there."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def free_bytes(self) -> int:
        """Free space of the disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def _make_folder(self, folder: Path) -> None:
        """Make a folder with those above it, durably."""
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for parent in folder.relative_to(self._root).parents:
                sync(self._root / parent)

    def _files(self, folder: str) -> Iterator[Path]:
        for parent, _, names in os.walk(self.path(folder)):
            yield from (Path(parent, name) for name in names)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
