"""The job database: SQLite in a file by default, or PostgreSQL, which several hosts can share."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Table,
    cast,
    extract,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.jobs.db.connections import connect, reading
from app.jobs.db.migrations.revision import LATEST, check_known, revision_of
from app.jobs.db.tables import identity
from app.jobs.errors import DatabaseRevisionError, StoreUnavailableError

_SAFE_WAL = (3, 51, 3)
"""Older versions of SQLite may corrupt a database in WAL mode."""

_MIGRATION_S = 60.0
"""The time to wait for another process that migrates the database."""

_PERMISSION_DENIED = "42501"  # the name of PostgreSQL's dialect
_REPLACED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY_DBMOVED")
"""SQLite's errors for a file that was replaced or removed."""


class Database:
    """Short transactions on one database.

    Each process creates its own, because connections do not survive a fork.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connect lazily.

        Args:
            url: `sqlite:///var/atelier.db`, or `postgresql://user:password@host/name`.
            timeout_s: seconds to wait for a lock or a connection.

        Raises:
            DatabaseUrlError: the URL is neither, or there is no driver for it.
        """
        self._url = url
        self._engine = connect(url, timeout_s)
        self._reading = reading(self._engine)
        self._is_sqlite = self._engine.dialect.name == "sqlite"

    @property
    def is_shared(self) -> bool:
        """Return whether other hosts can use the database, too."""
        return not self._is_sqlite

    def migrate(self) -> None:
        """Create the tables, or migrate them to the revision of this program.

        Any number of processes may call this at once. A SQLite file is copied before it is changed;
        see `app.jobs.db.migrations`.

        Raises:
            DatabaseRevisionError: the tables are newer than this program; nothing is changed.
            StoreUnavailableError: the database cannot be used.
        """
        revision = self._revision()
        check_known(revision)
        if self._is_sqlite:
            with self._translated(), self._engine.raw_connection() as connection:
                _choose_journal(connection)
        if revision != LATEST:
            from app.jobs.db.migrations.upgrade import upgrade  # noqa: PLC0415 - imports Alembic

            patient = Database(self._url, _MIGRATION_S)
            with closing(patient), patient.write() as connection:
                upgrade(connection)
            self._engine.dispose()  # new connections know the tables

    def check_revision(self) -> None:
        """Check that the tables have the revision of this program.

        Raises:
            DatabaseRevisionError: they are older, newer or missing.
            StoreUnavailableError: the database cannot be used.
        """
        revision = self._revision()
        check_known(revision)
        if revision != LATEST:
            raise DatabaseRevisionError(
                f"the job database has revision {revision}, and this program needs {LATEST}: "
                "start the service, which sees to it"
            )

    def _revision(self) -> str | None:
        with self.read() as connection:
            return revision_of(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; committed at the end. No other I/O belongs inside.

        Raises:
            StoreUnavailableError: the database is locked for too long, full, or unreachable.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction, which hardly waits for writers.

        Raises:
            StoreUnavailableError: as for `write`.
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(**self._reading)

    def identity(self) -> str:
        """Return the unique id of this database."""
        with self.read() as connection:
            return str(connection.execute(select(identity.c.id)).scalar_one())

    def now(self) -> ColumnElement[float]:
        """Return the seconds since 1970, by the clock of the server if hosts share it."""
        if self._is_sqlite:
            return literal(time.time(), Double)
        return cast(extract("epoch", func.statement_timestamp()), Double)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an insert that may become an update if the row exists."""
        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeoutError, sqlite3.DatabaseError) as error:
            if _is_ours(error):
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlite_errorname", None) in _REPLACED:
                self._engine.dispose()  # the next connection opens the current file
            said = " ".join(str(cause).split())
            raise StoreUnavailableError(f"the job database does not answer: {said}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _is_ours(error: Exception) -> bool:
    """Return whether an error is a fault of the program rather than of the database."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if not isinstance(error, ProgrammingError) or error.statement is None:
        return False
    return getattr(error.orig, "sqlstate", None) != _PERMISSION_DENIED


def _choose_journal(connection: Any) -> None:
    mode = "WAL" if sqlite3.sqlite_version_info >= _SAFE_WAL else "DELETE"
    connection.execute(f"PRAGMA journal_mode={mode}")  # this setting is stored in the file
