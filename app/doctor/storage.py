"""Checks of the disk under the data directory, and of a fleet's broker and object store."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.doctor.finding import Finding, ok, problem, warning
from app.errors import AtelierError
from app.jobs.storage.factory import open_storage
from app.runtime.maintenance import make_broker
from app.settings import Settings

_REMOTE = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "lustre", "afs", "fuse.sshfs")
"""Prefixes of file system types on which SQLite's locks are not reliable."""

_MOUNTS = Path("/proc/self/mountinfo")
_UNUSED_FOLDER = "doctor"  # nothing writes there
_MAX_REASON = 500  # characters


def disk(settings: Settings) -> Iterator[Finding]:
    """Check that files can be written, and that there is enough free space."""
    folder = _existing(settings.data_dir.absolute())
    yield from _check_writable(folder, settings.data_dir)
    yield _check_free_space(folder, settings)
    file_system = _file_system(folder)
    if file_system.startswith(_REMOTE) and not settings.database_url:
        yield problem(
            f"data directory: {file_system}, a network file system",
            "SQLite needs a local one; see ATELIER_DATA_DIR, or ATELIER_DATABASE_URL",
        )


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def _check_writable(folder: Path, wanted: Path) -> Iterator[Finding]:
    try:
        _try_operations(folder)
    except OSError as error:
        yield problem(
            f"data directory {wanted}: {error.strerror or error}",
            "let the service's user write there, or set ATELIER_DATA_DIR to another directory",
        )
    else:
        state = "" if wanted.exists() else " does not exist yet; its parent"
        yield ok(f"data directory {wanted}{state} can be written, synced and locked")


def _try_operations(folder: Path) -> None:
    """Try the operations that the service does with its files."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        moved = Path(f"{file.name}-moved")
        Path(file.name).rename(moved)
        moved.rename(file.name)


def _check_free_space(folder: Path, settings: Settings) -> Finding:
    free, floor = shutil.disk_usage(folder).free, settings.min_free_bytes
    what = f"disk: {free / 1e9:.1f} GB free; the minimum is {floor / 1e9:.1f} GB"
    if free < floor:
        return problem(what, "no job is accepted; free some, or lower ATELIER_MIN_FREE_BYTES")
    if free < floor + settings.max_archive_bytes:
        return warning(what, "there may be too little space for an archive; free some")
    return ok(what)


def _file_system(folder: Path) -> str:
    """Return the type of a file system, or "" if it is unknown."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape")  # \040 is a space
        if folder.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind


def broker(settings: Settings) -> Iterator[Finding]:
    """Check that the broker answers, if there is one."""
    try:
        found = make_broker(settings)
        if found is not None:
            yield ok(f"broker: answers; {found.waiting()} jobs are waiting")
            found.close()
    except AtelierError as error:
        yield problem(f"broker: {error}", "see ATELIER_BROKER_URL")


def object_store(settings: Settings) -> Iterator[Finding]:
    """Check that the object store can be read, if there is one."""
    if settings.blobs_url is None:
        return
    try:
        open_storage(settings.storage).older_than(_UNUSED_FOLDER, 0)
    except (OSError, AtelierError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:_MAX_REASON]
        yield problem(f"object store: {reason}", "see ATELIER_BLOBS_URL, and the AWS_* variables")
    else:
        yield ok(f"object store {settings.blobs_url}: answers")
