"""The database: SQLite in a file by default, or whatever the URL names."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.jobs.errors import DatabaseRevisionError, DatabaseUrlError, StoreUnavailableError
from app.jobs.migrations.revision import LATEST, check_known, revision_of
from app.jobs.tables import identity

_SAFE_WAL = (3, 51, 3)
"""Older SQLite may corrupt a database in WAL mode when a checkpoint races with a write."""

_MIGRATION_S = 60.0
"""How long a process waits for another that migrates the database."""

_READS = "atelier_reads"
_REPLACED = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY_DBMOVED")
"""What SQLite says of a file that was put in the place of another, or taken away."""


class Database:
    """Short transactions on one database. A process makes its own: nothing survives a fork."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connect lazily.

        Args:
            url: as SQLAlchemy has it, such as `sqlite:///var/atelier.db`.
            timeout_s: how long to wait for a lock, or for a connection, before giving up.

        Raises:
            DatabaseUrlError: it names nothing that SQLAlchemy can use.
        """
        self._url = url
        self._is_sqlite = url.startswith("sqlite")
        wait = {"timeout": timeout_s} if self._is_sqlite else {}
        try:
            self._engine = create_engine(
                url, connect_args=wait, pool_timeout=timeout_s, pool_pre_ping=not self._is_sqlite
            )
        except (SQLAlchemyError, ImportError, TypeError) as error:
            raise DatabaseUrlError(
                f"ATELIER_DATABASE_URL names no database that can be used: {error}; "
                "leave it out, or give it as sqlite:////folder/atelier.db"
            ) from error
        if self._is_sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)

    def migrate(self) -> None:
        """Bring the tables to the revision that this program works with, or make them.

        Any number of processes may do so at one time. A SQLite file that is changed is copied
        before; see `app.jobs.migrations`.

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
            from app.jobs.migrations.upgrade import upgrade  # noqa: PLC0415 - imports Alembic

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
        """One transaction that may write; committed at the end. No other I/O belongs inside.

        Raises:
            StoreUnavailableError: locked for too long, disk full, or not reachable.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, and does not wait for writers longer than it must.

        Raises:
            StoreUnavailableError: as for `write`.
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(**{_READS: True})

    def identity(self) -> str:
        """Return what tells this database from all others."""
        with self.read() as connection:
            return str(connection.execute(select(identity.c.id)).scalar_one())

    def now(self) -> ColumnElement[float]:
        """Seconds since 1970: the server's clock where several hosts share one database."""
        if self._is_sqlite:
            return literal(time.time(), Double)
        return cast(extract("epoch", func.clock_timestamp()), Double)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours
        except (DBAPIError, PoolTimeoutError, sqlite3.DatabaseError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlite_errorname", None) in _REPLACED:
                self._engine.dispose()  # the next connection finds the file that is there now
            raise StoreUnavailableError(f"the job database does not answer: {cause}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin as `_begin_sqlite` says
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _choose_journal(connection: Any) -> None:
    mode = "WAL" if sqlite3.sqlite_version_info >= _SAFE_WAL else "DELETE"
    connection.execute(f"PRAGMA journal_mode={mode}")  # stays with the file
