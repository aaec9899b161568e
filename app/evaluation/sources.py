"""Sources of labeled files: a trusted folder, or an untrusted zip archive.

An archive is never extracted to disk. Its files are read one at a time, so that their names are
harmless. Archives that would take excessive memory or time are rejected as a whole.
"""

import io
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Protocol

from app.evaluation.errors import ArchiveError, ArchiveTooLargeError, UnreadableFileError
from app.limits import ArchiveLimits

_DIRECTORY_BYTES_PER_ENTRY = 300  # real programs write 80 to 200
_MAX_COMPRESSION_FACTOR = 10
_CHUNK_BYTES = 1 << 16  # decompressed at a time
_MIN_READ_LIMIT_BYTES = 1 << 17  # zipfile reads this much to find the directory
_COMPRESSIONS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # others cannot be decompressed in small chunks
_ENCRYPTED = 0x1
_MAX_NAME = 1024  # characters, including the folders


class ImageSource(Protocol):
    """Files by name, such as `cat/1.jpg`; a context manager that closes the archive."""

    @property
    def names(self) -> Sequence[str]:
        """Names of all files."""
        ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file, from any thread; at most one byte more than `max_bytes`.

        Raises:
            UnreadableFileError: the file is missing, damaged or not supported.
        """
        ...


class ImageFolder(ImageSource):
    """A folder of the server; symbolic links are followed.

    Raises:
        ArchiveError: a part of the folder cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._paths = {as_text(each.relative_to(path)): each for each in sorted(_files(path))}
        except PermissionError as error:
            place = Path(error.filename).relative_to(path.parent)
            raise ArchiveError(f"{as_text(place)} cannot be read: {error.strerror}.") from error

    @property
    def names(self) -> Sequence[str]:
        """Names of all files, sorted."""
        return list(self._paths)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file."""
        try:
            with self._paths[name].open("rb") as file:
                return file.read(max_bytes + 1)
        except OSError as error:
            raise UnreadableFileError(f"The file cannot be read: {error.strerror}.") from error


def as_text(path: Path) -> str:
    """Return a path as text; bytes that are not UTF-8 are replaced."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error  # by default, os.walk silently skips unreadable folders

    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        place = Path(parent).stat()
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()  # a cycle of links
            continue
        seen.add((place.st_dev, place.st_ino))
        yield from (path for path in (Path(parent, name) for name in names) if path.is_file())


class ImageArchive(ImageSource, AbstractContextManager["ImageArchive"]):
    """A zip archive. Opening one with a malicious directory takes at most some 50 MB and a second.

    Raises:
        ArchiveError: the file is not a zip archive, is damaged, or has names that escape from it.
        ArchiveTooLargeError: the archive has too many entries or too many uncompressed bytes.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        directory_bytes = limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY
        self._file = _BoundedFile(path, max(directory_bytes, _MIN_READ_LIMIT_BYTES))
        try:
            self._zip = _open_zip(self._file)
            entries = _check_entries(self._zip, limits)
        except BaseException:
            self._file.close()
            raise
        self._entries = {
            entry.filename: entry for entry in reversed(entries)
        }  # the first entry of a name wins
        self._names = [entry.filename for entry in entries]

    @property
    def names(self) -> Sequence[str]:
        """Names of all files, in the archive's order; a name may occur twice."""
        return self._names

    def read(self, name: str, max_bytes: int) -> bytes:
        """Decompress a file."""
        entry = self._entries[name]
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UnreadableFileError("The file is a symbolic link, which is not followed.")
        if entry.flag_bits & _ENCRYPTED:
            raise UnreadableFileError("The file is encrypted.")
        if entry.compress_type not in _COMPRESSIONS:
            raise UnreadableFileError(
                "The compression of the file is not supported. Use deflate or none."
            )
        try:
            return self._decompress(entry, max_bytes + 1)
        except Exception as error:  # on damaged entries zipfile raises almost any type
            raise UnreadableFileError(f"The archive is damaged at this file: {error}.") from error

    def _decompress(self, entry: zipfile.ZipInfo, max_bytes: int) -> bytes:
        data = bytearray()
        with self._zip.open(entry) as file:
            while chunk := file.read(min(_CHUNK_BYTES, max_bytes - len(data))):
                data += chunk
        return bytes(data)

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()


class _BoundedFile(io.FileIO):
    """A file with a limit on the size of a single read.

    `zipfile` reads the whole directory of an archive at once, whatever its declared length.
    """

    def __init__(self, path: Path, max_read_bytes: int) -> None:
        try:
            super().__init__(path)
        except PermissionError as error:
            raise ArchiveError(f"{path.name} cannot be read: {error.strerror}.") from error
        self._max_read_bytes = max_read_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_read_bytes:
            raise ArchiveTooLargeError("The archive has too many entries.")
        return super().read(-1 if size is None else size) or b""


def _open_zip(file: _BoundedFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except ArchiveTooLargeError:
        raise
    except Exception as error:  # on damaged directories zipfile raises almost any type
        raise ArchiveError(f"The file is not a readable zip archive: {error}.") from error


def _check_entries(archive: zipfile.ZipFile, limits: ArchiveLimits) -> list[zipfile.ZipInfo]:
    """Check the entries of an archive against the limits and return those that are files."""
    entries = archive.infolist()
    if len(entries) > limits.max_entries:
        raise ArchiveTooLargeError(
            f"The archive has {len(entries):,} entries; the limit is {limits.max_entries:,}."
        )
    spans = sorted(
        (each.header_offset, each.header_offset + each.compress_size) for each in entries
    )
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise ArchiveError("The entries of the archive overlap.")
    uncompressed_bytes = sum(entry.file_size for entry in entries)
    max_bytes = _MAX_COMPRESSION_FACTOR * limits.max_bytes
    if uncompressed_bytes > max_bytes:
        raise ArchiveTooLargeError(
            f"The archive has {uncompressed_bytes:,} uncompressed bytes; the limit is "
            f"{max_bytes:,}."
        )
    for entry in entries:
        if len(entry.filename) > _MAX_NAME:
            raise ArchiveError(
                f"A name in the archive has {len(entry.filename):,} characters, including folders; "
                f"the limit is {_MAX_NAME:,}."
            )
        if _is_outside(entry.filename):
            raise ArchiveError(f"The name {entry.filename!r} is outside of the archive.")
    return [entry for entry in entries if not entry.filename.endswith(("/", "\\"))]


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    has_drive = path.parts[:1] and path.parts[0].endswith(":")
    return path.is_absolute() or ".." in path.parts or bool(has_drive)
