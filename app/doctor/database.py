"""Checks of the job database, without writes or long locks."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, StaticPool, create_engine, func, make_url, select

from app.doctor.finding import Finding, ok, problem, warning
from app.errors import AtelierError
from app.jobs.db.connections import address
from app.jobs.db.database import Database
from app.jobs.db.migrations.revision import LATEST, check_known, revision_of
from app.jobs.db.tables import job, worker
from app.jobs.errors import DatabaseRevisionError
from app.settings import Settings

_AHEAD_S = 60.0
_RESTORE = "stop the service and restore a copy (atelier.db.before-..., or a backup)"


def database(settings: Settings) -> Iterator[Finding]:
    """Check that the database answers, is not damaged, and has a known revision."""
    url = settings.database
    if not url.startswith("sqlite"):
        yield from _check_server(url, settings.store_timeout_s)
        return
    path = Path(make_url(url).database or "")
    if not path.exists():
        yield ok(f"database {path}: does not exist yet; the first start creates it")
        return
    try:
        with closing(_copy_to_memory(path)) as memory:
            yield from _check_file(path, memory)
    except sqlite3.Error as error:
        yield _unreadable(path, error)


def _check_server(url: str, timeout_s: float) -> Iterator[Finding]:
    name = "server"
    try:
        name = address(url)
        with closing(Database(url, timeout_s)) as opened, opened.read() as connection:
            yield from _check_contents(name, connection)
    except AtelierError as error:
        yield problem(f"database {name}: {error}", "see ATELIER_DATABASE_URL")


def _copy_to_memory(path: Path) -> sqlite3.Connection:
    """Copy the database into memory, so that a long check does not block the service."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as source:
            source.execute("SELECT * FROM sqlite_master").fetchone()  # fails faster than a copy
            source.backup(memory)
    except BaseException:
        memory.close()
        raise
    return memory


def _check_file(path: Path, memory: sqlite3.Connection) -> Iterator[Finding]:
    found = [row[0] for row in memory.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        yield problem(f"database {path}: damaged: {'; '.join(found)}", _RESTORE)
        return
    engine = create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
    with engine.connect() as connection:
        yield from _check_contents(str(path), connection)


def _unreadable(path: Path, error: sqlite3.Error) -> Finding:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return problem(
            f"database {path}: locked by another program",
            "end the program that holds the lock (see fuser); the service holds it only briefly",
        )
    if name == "SQLITE_READONLY_ROLLBACK":
        return warning(
            f"database {path}: a write was interrupted",
            "the next start of the service rolls it back",
        )
    if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
        return problem(f"database {path}: damaged: {error}", _RESTORE)
    return problem(f"database {path}: {error}", "give the service's user permission to read it")


def _check_contents(name: str, connection: Connection) -> Iterator[Finding]:
    revision = revision_of(connection)
    try:
        check_known(revision)
    except DatabaseRevisionError as error:
        yield problem(f"database {name}: revision {revision}", str(error))
        return
    if revision != LATEST:
        yield warning(
            f"database {name}: revision {revision or 'none yet'}",
            f"the next start of the service migrates it to {LATEST} and keeps a copy",
        )
    else:
        yield ok(f"database {name}: intact, revision {revision}")
    if revision is not None:
        yield from _check_times(connection)


def _check_times(connection: Connection) -> Iterator[Finding]:
    newest = (select(func.max(job.c.created_at)), select(func.max(worker.c.seen_at)))
    latest = max(connection.execute(each).scalar() or 0.0 for each in newest)
    if latest > time.time() + _AHEAD_S:
        yield problem(
            f"clock: {latest - time.time():,.0f} s behind the newest row of the database",
            "set the clock: jobs and log lines use it",
        )
