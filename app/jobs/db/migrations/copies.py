"""Copies of a SQLite file, made before a migration."""

import glob
import os
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import mkstemp

from app.files import sync


def keep_copy(path: Path, revision: str) -> Path:
    """Copy a database to `NAME.before-REVISION` beside it, and return the path of the copy.

    Only a complete copy gets this name. An existing copy is kept, and the new one gets a number.
    Other processes may read and write meanwhile, but only one may copy at a time: leftovers of one
    that was killed are removed.

    Raises:
        sqlite3.Error, OSError: the copy cannot be written.
    """
    prefix = f".{path.name}.copy-"
    for left in path.parent.glob(f"{glob.escape(prefix)}*"):
        left.unlink()
    handle, name = mkstemp(prefix=prefix, dir=path.parent)
    os.close(handle)
    unnamed = Path(name)
    try:
        _back_up(path, unnamed)
        sync(unnamed)
        copy = _link(unnamed, path.with_name(f"{path.name}.before-{revision}"))
    finally:
        unnamed.unlink()
    sync(copy.parent)
    return copy


def _back_up(path: Path, copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _link(file: Path, wanted: Path) -> Path:
    """Rename a file to an unused name."""
    for number in count(1):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.hardlink_to(file)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() ends")
