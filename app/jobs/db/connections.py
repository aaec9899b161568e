"""Connections to the database that a URL names: SQLite or PostgreSQL."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from app.jobs.errors import DatabaseUrlError

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_NO_URL = "it is not a URL (in a password, write @ as %40, / as %2F, : as %3A)"
_READS = "atelier_reads"
_READING: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {_READS: True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def connect(url: str, timeout_s: float) -> Engine:
    """Return an engine that connects lazily.

    Raises:
        DatabaseUrlError: the URL is not valid, or there is no driver for it.
    """
    parsed = _parsed(url)
    make = _sqlite if parsed.get_backend_name() == "sqlite" else _postgresql
    return make(parsed, timeout_s)


def reading(engine: Engine) -> Mapping[str, Any]:
    """Return the options of a read-only transaction with one snapshot."""
    return _READING[engine.dialect.name]


def address(url: str) -> str:
    """Return the address of a database server without user and password.

    Raises:
        DatabaseUrlError: as for `connect`.
    """
    parsed = _parsed(url)
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host or 'localhost'}{port}/{parsed.database or ''}"


def _parsed(text: str) -> URL:
    """Parse a URL. Errors do not quote it: a password with a / may appear anywhere in it."""
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):
        raise _unusable(_NO_URL) from None
    if "@" in (url.host or ""):  # the port is part of the password
        raise _unusable(_NO_URL)
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise _unusable("it is neither SQLite nor PostgreSQL")
    return url.set(drivername=driver)


def _unusable(why: str) -> DatabaseUrlError:
    return DatabaseUrlError(
        f"ATELIER_DATABASE_URL names no database that can be used: {why}. Leave it out, or give "
        "it as sqlite:////folder/atelier.db or postgresql://user:password@host/name"
    )


def _sqlite(url: URL, timeout_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": timeout_s}, pool_timeout=timeout_s)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL, timeout_s: float) -> Engine:
    try:
        from app.jobs.db import postgres  # noqa: PLC0415 - its driver is an extra
    except ImportError as error:
        raise _unusable("PostgreSQL needs psycopg: pip install 'atelier[fleet]'") from error
    return postgres.connect(url, timeout_s)


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
