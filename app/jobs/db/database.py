"""The database: SQLite in a file by default, or PostgreSQL, which several hosts can share."""

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
"""Older SQLite may corrupt a database in WAL mode when a checkpoint races with a write."""

_MIGRATION_S = 60.0
"""How long a process waits for another that migrates the database."""

_PERMISSION_DENIED = "42501"  # as PostgreSQL has it
_REPLACED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY_DBMOVED")
"""What SQLite says of a file that was put in the place of another, or taken away."""


class Database:
    """Short transactions on one database. A process makes its own: nothing survives a fork."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connect lazily.

        Args:
            url: `sqlite:///var/atelier.db`, or `postgresql://user:password@host/name`.
            timeout_s: how long to wait for a lock, or for a connection, before giving up.

        Raises:
            DatabaseUrlError: it is neither, or there is no driver for it.
        """
        self._url = url
        self._engine = connect(url, timeout_s)
        self._reading = reading(self._engine)
        self._is_sqlite = self._engine.dialect.name == "sqlite"

    @property
    def is_shared(self) -> bool:
        """Tell whether other hosts may use the database as well."""
        return not self._is_sqlite

    def migrate(self) -> None:
        """Bring the tables to the revision that this program works with, or make them.

        Any number of processes may do so at one time. A SQLite file that is changed is copied
        before; see `app.jobs.db.migrations`.

        Raises:
            DatabaseRevisionError: a newer program has made them; nothing is changed.
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
            self._engine.dispose()  # the next connection knows the tables

    def check_revision(self) -> None:
        """Find out whether this program can work with the tables as they are.

        Raises:
            DatabaseRevisionError: they are older or newer, or not there.
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
            StoreUnavailableError: locked for too long, disk full, or not reachable.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and does not wait for writers longer than it must.

        Raises:
            StoreUnavailableError: as for `write`.
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(**self._reading)

    def identity(self) -> str:
        """Return what tells this database from all others."""
        with self.read() as connection:
            return str(connection.execute(select(identity.c.id)).scalar_one())

    def now(self) -> ColumnElement[float]:
        """Seconds since 1970: the server's clock where several hosts share one database."""
        if self._is_sqlite:
            return literal(time.time(), Double)
        return cast(extract("epoch", func.statement_timestamp()), Double)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an insert that may become an update where its row is there already."""
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
                self._engine.dispose()  # the next connection finds the file that is there now
            said = " ".join(str(cause).split())
            raise StoreUnavailableError(f"the job database does not answer: {said}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _is_ours(error: Exception) -> bool:
    """Tell a wrong statement from a database that is away or refuses us."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if not isinstance(error, ProgrammingError) or error.statement is None:
        return False
    return getattr(error.orig, "sqlstate", None) != _PERMISSION_DENIED


def _choose_journal(connection: Any) -> None:
    mode = "WAL" if sqlite3.sqlite_version_info >= _SAFE_WAL else "DELETE"
    connection.execute(f"PRAGMA journal_mode={mode}")  # stays with the file
