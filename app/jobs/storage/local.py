"""Storage in a local folder."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.files import make_folder, sync, written_beside
from app.jobs.storage.base import PIECE_BYTES


class LocalFile:
    """An open file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size_bytes = os.fstat(self._file.fileno()).st_size

    def read(self) -> bytes:
        """Return the next chunk."""
        return self._file.read(PIECE_BYTES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LocalStorage:
    """A storage in a local folder; a key is a path in it."""

    origin: str | None = None

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, key: str) -> Path:
        """Return the path of a file, which need not exist yet."""
        return self._root / key

    def put(self, key: str, data: bytes, *, download_as: str | None = None) -> str:  # noqa: ARG002
        """Write a file durably. An existing file is kept."""
        path = self.path(key)
        make_folder(path.parent)
        with written_beside(path, data) as temporary:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return key
            except OSError:  # a file system without hard links
                temporary.replace(path)
        sync(path.parent)
        return key

    def put_file(self, key: str, path: Path) -> str:
        """Move a synced file of the same file system into the storage."""
        target = self.path(key)
        make_folder(target.parent)
        path.replace(target)
        sync(target.parent)
        return key

    def get(self, key: str) -> bytes:
        """Return the contents of a file."""
        return self.path(key).read_bytes()

    def open(self, key: str) -> LocalFile:
        """Open a file."""
        return LocalFile(self.path(key))

    @contextmanager
    def at_hand(self, key: str, came: Callable[[], None]) -> Iterator[Path]:  # noqa: ARG002
        """Provide the file itself."""
        yield self.path(key)

    def size_bytes(self, key: str) -> int:
        """Return the size of a file."""
        return self.path(key).stat().st_size

    def exists(self, key: str) -> bool:
        """Return whether a file exists."""
        return self.path(key).exists()

    def copy(self, key: str, new_key: str) -> str:
        """Copy a file to another key, as a hard link if possible."""
        target = self.path(new_key)
        make_folder(target.parent)
        try:
            target.hardlink_to(self.path(key))
        except OSError:  # a file system without hard links
            return self.put(new_key, self.get(key))
        sync(target.parent)
        return new_key

    def delete(self, key: str) -> None:
        """Delete a file, if it exists, and its folders if they are empty then."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete the files of a folder except those listed."""
        for path in self._files(folder):
            if self._key(path) not in keys:
                path.unlink(missing_ok=True)
        if not keys:
            shutil.rmtree(self.path(folder), ignore_errors=True)

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Return the keys of the files in a folder that are older than an age."""
        latest = time.time() - age_s
        found = []
        for path in self._files(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if (
                max(status.st_mtime, status.st_ctime) <= latest
            ):  # a hard link changes only the latter
                found.append(self._key(path))
        return found

    def sweep(self, folder: str, age_s: float, choose: Callable[[set[str]], set[str]]) -> int:
        """Delete the chosen old files, and folders that have been empty for as long."""
        orphans = choose(set(self.older_than(folder, age_s)))
        for key in orphans:
            self.delete(key)
        self._prune(folder, age_s)
        return len(orphans)

    def link(self, key: str) -> str | None:  # noqa: ARG002
        """Return None: clients download files through the service."""
        return None

    def _prune(self, folder: str, age_s: float) -> None:
        latest = time.time() - age_s
        for parent, _, _ in os.walk(self.path(folder), topdown=False):
            with suppress(OSError):  # not empty, or just removed
                if parent != str(self.path(folder)) and Path(parent).stat().st_mtime <= latest:
                    Path(parent).rmdir()

    def _files(self, folder: str) -> Iterator[Path]:
        for parent, _, names in os.walk(self.path(folder)):
            yield from (Path(parent, name) for name in names)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
