"""The database: SQLite in a file by default, or whatever the URL names."""

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
    insert,
    inspect,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.jobs.errors import DatabaseUrlError, StoreUnavailableError
from app.jobs.tables import identity, metadata

_SAFE_WAL = (3, 51, 3)
"""Older SQLite may corrupt a database in WAL mode when a checkpoint races with a write."""

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

    def create_tables(self) -> None:
        """Create what is missing.

        Raises:
            StoreUnavailableError: the database cannot be used.
        """
        with self._translated():
            if self._is_sqlite:
                with self._engine.raw_connection() as connection:
                    _choose_journal(connection)
        with self.write() as connection:
            metadata.create_all(connection)
            _add_columns(connection)
            if connection.execute(select(identity.c.id)).first() is None:
                connection.execute(insert(identity).values(id=uuid.uuid4().hex))

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


def _add_columns(connection: Connection) -> None:
    """Add what a database that an older version made does not have yet; all of it is nullable."""
    present = inspect(connection)
    for table in metadata.sorted_tables:
        names = {column["name"] for column in present.get_columns(table.name)}
        for column in table.columns:
            if column.name not in names:
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column.name} {kind}")


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin as `_begin_sqlite` says
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _choose_journal(connection: Any) -> None:
    mode = "WAL" if sqlite3.sqlite_version_info >= _SAFE_WAL else "DELETE"
    connection.execute(f"PRAGMA journal_mode={mode}")  # stays with the file
