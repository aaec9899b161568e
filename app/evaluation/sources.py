"""Sources of labeled files: a folder, or an untrusted zip archive.

An archive is never unpacked to disk: its files are read one at a time, so that their names lead
nowhere. What is refused here as a whole is what would take memory or time out of all proportion.
"""

import io
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Protocol

from app.evaluation.errors import ArchiveError, ArchiveTooLargeError, UnreadableError

_DIRECTORY_BYTES_PER_ENTRY = 300  # real programs need 80 to 200
_UNPACKED_FACTOR = 10
_PIECE_BYTES = 1 << 16  # read and unpacked at a time
_MOST_READ_AT_ONCE_BYTES = 1 << 17  # in a small archive, by zipfile in search of the directory
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others cannot be unpacked bit by bit
_ENCRYPTED = 0x1
_MAX_NAME = 1024  # characters, with the folders


@dataclass(frozen=True)
class ArchiveLimits:
    """Limits on one archive."""

    max_bytes: int = 2_000_000_000
    max_entries: int = 20_000


class Source(AbstractContextManager["Source"], Protocol):
    """Files by name, such as `cat/1.jpg`; a context, as an archive stays open."""

    @property
    def names(self) -> Sequence[str]:
        """Name every file."""
        ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file, from any thread; never more than one byte over `max_bytes`.

        Raises:
            UnreadableError: it is gone, damaged, or of a kind that is not read.
        """
        ...


class Folder(Source):
    """A folder of the host's own; links in it are followed.

    Raises:
        ArchiveError: a part of it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._paths = {as_text(each.relative_to(path)): each for each in sorted(_files(path))}
        except PermissionError as error:
            place = Path(error.filename).relative_to(path.parent)
            raise ArchiveError(f"{as_text(place)} cannot be read: {error.strerror}") from error

    @property
    def names(self) -> Sequence[str]:
        """Name every file, in order."""
        return list(self._paths)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file."""
        try:
            with self._paths[name].open("rb") as file:
                return file.read(max_bytes + 1)
        except OSError as error:
            raise UnreadableError(f"the file cannot be read: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file stays open."""


def as_text(path: Path) -> str:
    """Name a path; what is not UTF-8 in it is replaced."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error  # else the walk would leave out what it cannot read, and say nothing

    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        place = Path(parent).stat()
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()  # links that lead in a circle
            continue
        seen.add((place.st_dev, place.st_ino))
        yield from (path for path in (Path(parent, name) for name in names) if path.is_file())


class Archive(Source):
    """A zip archive. Opening one with a hostile directory takes some 50 MB and a second.

    Raises:
        ArchiveError: not a zip archive, a damaged one, or one with names that lead out of it.
        ArchiveTooLargeError: too many entries, or too many bytes once unpacked.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        directory_bytes = limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY
        self._file = _Bounded(path, max(directory_bytes, _MOST_READ_AT_ONCE_BYTES))
        try:
            self._zip = _opened(self._file)
            entries = _screened(self._zip, limits)
        except BaseException:
            self._file.close()
            raise
        self._entries = {entry.filename: entry for entry in reversed(entries)}  # the first wins
        self._names = [entry.filename for entry in entries]

    @property
    def names(self) -> Sequence[str]:
        """Name every file, in the archive's order; a name may come twice."""
        return self._names

    def read(self, name: str, max_bytes: int) -> bytes:
        """Unpack a file."""
        entry = self._entries[name]
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UnreadableError("a symbolic link is not followed")
        if entry.flag_bits & _ENCRYPTED:
            raise UnreadableError("it is encrypted")
        if entry.compress_type not in _READABLE:
            raise UnreadableError("its compression is not read; use deflate or none")
        try:
            return self._unpacked(entry, max_bytes + 1)
        except Exception as error:  # on damaged entries zipfile raises almost any type
            raise UnreadableError(f"the archive is damaged here: {error}") from error

    def _unpacked(self, entry: zipfile.ZipInfo, most: int) -> bytes:
        data = bytearray()
        with self._zip.open(entry) as file:
            while piece := file.read(min(_PIECE_BYTES, most - len(data))):
                data += piece
        return bytes(data)

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()


class _Bounded(io.FileIO):
    """A file that refuses to be read in pieces of any size.

    `zipfile` reads the whole directory of an archive, whatever its length is said to be.
    """

    def __init__(self, path: Path, max_read_bytes: int) -> None:
        try:
            super().__init__(path)
        except PermissionError as error:
            raise ArchiveError(f"{path.name} cannot be read: {error.strerror}") from error
        self._max_read_bytes = max_read_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_read_bytes:
            raise ArchiveTooLargeError("the archive has too many entries")
        return super().read(-1 if size is None else size) or b""


def _opened(file: _Bounded) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except ArchiveTooLargeError:
        raise
    except Exception as error:  # on damaged directories zipfile raises almost any type
        raise ArchiveError(f"not a zip archive that can be read: {error}") from error


def _screened(archive: zipfile.ZipFile, limits: ArchiveLimits) -> list[zipfile.ZipInfo]:
    """Return the entries that are files, of an archive in proportion."""
    entries = archive.infolist()
    if len(entries) > limits.max_entries:
        raise ArchiveTooLargeError(
            f"the archive has {len(entries):,} entries; at most {limits.max_entries:,} are accepted"
        )
    spans = sorted(
        (each.header_offset, each.header_offset + each.compress_size) for each in entries
    )
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise ArchiveError("the archive's entries overlap")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _UNPACKED_FACTOR * limits.max_bytes:
        raise ArchiveTooLargeError(f"unpacked, the archive would have {unpacked:,} bytes")
    for entry in entries:
        if len(entry.filename) > _MAX_NAME:
            raise ArchiveError(
                f"a name in the archive has {len(entry.filename):,} characters, with its folders; "
                f"at most {_MAX_NAME:,} are accepted"
            )
        if _leads_out(entry.filename):
            raise ArchiveError(f"the name {entry.filename!r} leads out of the archive")
    return [entry for entry in entries if not entry.filename.endswith(("/", "\\"))]


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    has_drive = path.parts[:1] and path.parts[0].endswith(":")
    return path.is_absolute() or ".." in path.parts or bool(has_drive)
