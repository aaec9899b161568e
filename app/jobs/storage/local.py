"""The files of jobs in a folder of this host."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.jobs.storage.atomic import make_folder, sync, unnamed
from app.jobs.storage.base import PIECE_BYTES


class LocalFile:
    """An open file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size_bytes = os.fstat(self._file.fileno()).st_size

    def read(self) -> bytes:
        """Read the next piece."""
        return self._file.read(PIECE_BYTES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LocalStorage:
    """Blobs as files; a key is a path in the folder."""

    origin: str | None = None

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, key: str) -> Path:
        """Return the path of a file, which need not exist yet."""
        return self._root / key

    def put(self, key: str, data: bytes, *, download_as: str | None = None) -> str:  # noqa: ARG002
        """Write durably; a file that is there already stays."""
        path = self.path(key)
        make_folder(path.parent)
        with unnamed(path, data) as temporary:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return key
            except OSError:  # a file system without hard links
                temporary.replace(path)
        sync(path.parent)
        return key

    def put_file(self, key: str, path: Path) -> str:
        """Move a file here that is on the same file system, and synced."""
        target = self.path(key)
        make_folder(target.parent)
        path.replace(target)
        sync(target.parent)
        return key

    def get(self, key: str) -> bytes:
        """Read all of it."""
        return self.path(key).read_bytes()

    def open(self, key: str) -> LocalFile:
        """Open it."""
        return LocalFile(self.path(key))

    @contextmanager
    def at_hand(self, key: str, came: Callable[[], None]) -> Iterator[Path]:  # noqa: ARG002
        """Have the file itself."""
        yield self.path(key)

    def size_bytes(self, key: str) -> int:
        """Return the size of a file."""
        return self.path(key).stat().st_size

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        return self.path(key).exists()

    def copy(self, key: str, new_key: str) -> str:
        """Make the same bytes available under another key, as a hard link where possible."""
        target = self.path(new_key)
        make_folder(target.parent)
        try:
            target.hardlink_to(self.path(key))
        except OSError:  # a file system without hard links
            return self.put(new_key, self.get(key))
        sync(target.parent)
        return new_key

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

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete every file in a folder that is not named."""
        for path in self._files(folder):
            if self._key(path) not in keys:
                path.unlink(missing_ok=True)
        if not keys:
            shutil.rmtree(self.path(folder), ignore_errors=True)

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Return keys of the files in a folder that were written, or copied there, so long ago."""
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

    def sweep(self, folder: str, age_s: float, choose: Callable[[set[str]], set[str]]) -> int:
        """Delete the chosen old files, and folders that have been empty for so long."""
        orphans = choose(set(self.older_than(folder, age_s)))
        for key in orphans:
            self.delete(key)
        self._prune(folder, age_s)
        return len(orphans)

    def link(self, key: str) -> str | None:  # noqa: ARG002
        """Return None: files are fetched through the service."""
        return None

    def _prune(self, folder: str, age_s: float) -> None:
        latest = time.time() - age_s
        for parent, _, _ in os.walk(self.path(folder), topdown=False):
            with suppress(OSError):  # not empty, or just gone
                if parent != str(self.path(folder)) and Path(parent).stat().st_mtime <= latest:
                    Path(parent).rmdir()

    def _files(self, folder: str) -> Iterator[Path]:
        for parent, _, names in os.walk(self.path(folder)):
            yield from (Path(parent, name) for name in names)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
