"""Copies of a SQLite file, made before it is changed."""

import os
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path


def keep_copy(path: Path, revision: str) -> Path:
    """Copy a database beside itself, as `NAME.before-REVISION`; returns where the copy is.

    A copy that is there already is left alone, and the new one gets a number. Others may read and
    write meanwhile.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    copy = _free_name(path.with_name(f"{path.name}.before-{revision}"))
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        _sync(copy)
        _sync(copy.parent)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _free_name(wanted: Path) -> Path:
    """Take a name that no file has."""
    for number in count(1):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() ends")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
