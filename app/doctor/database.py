"""The job database, looked at without a write, or a lock for longer than copying it takes."""

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
_PUT_BACK = "stop the service and put a copy back (atelier.db.before-..., or a backup)"


def database(settings: Settings) -> Iterator[Finding]:
    """Look whether it answers, is whole, and of a revision that this program works with."""
    url = settings.database
    if not url.startswith("sqlite"):
        yield from _server(url, settings.store_timeout_s)
        return
    path = Path(make_url(url).database or "")
    if not path.exists():
        yield ok(f"database {path}: is not there yet; the first start makes it")
        return
    try:
        with closing(_copied(path)) as memory:
            yield from _file(path, memory)
    except sqlite3.Error as error:
        yield _unreadable(path, error)


def _server(url: str, timeout_s: float) -> Iterator[Finding]:
    name = "server"
    try:
        name = address(url)
        with closing(Database(url, timeout_s)) as opened, opened.read() as connection:
            yield from _contents(name, connection)
    except AtelierError as error:
        yield problem(f"database {name}: {error}", "see ATELIER_DATABASE_URL")


def _copied(path: Path) -> sqlite3.Connection:
    """Read all of it into memory, where a long look is in nobody's way."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as source:
            source.execute("SELECT * FROM sqlite_master").fetchone()  # fails sooner than a copy
            source.backup(memory)
    except BaseException:
        memory.close()
        raise
    return memory


def _file(path: Path, memory: sqlite3.Connection) -> Iterator[Finding]:
    found = [row[0] for row in memory.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        yield problem(f"database {path}: damaged: {'; '.join(found)}", _PUT_BACK)
        return
    engine = create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
    with engine.connect() as connection:
        yield from _contents(str(path), connection)


def _unreadable(path: Path, error: sqlite3.Error) -> Finding:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return problem(
            f"database {path}: locked by another program",
            "end what holds it (fuser names it); the service only ever takes moments",
        )
    if name == "SQLITE_READONLY_ROLLBACK":
        return warning(
            f"database {path}: a write was interrupted", "the next start of the service undoes it"
        )
    if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
        return problem(f"database {path}: damaged: {error}", _PUT_BACK)
    return problem(f"database {path}: {error}", "let the service's user read it")


def _contents(name: str, connection: Connection) -> Iterator[Finding]:
    revision = revision_of(connection)
    try:
        check_known(revision)
    except DatabaseRevisionError as error:
        yield problem(f"database {name}: revision {revision}", str(error))
        return
    if revision != LATEST:
        yield warning(
            f"database {name}: revision {revision or 'none yet'}",
            f"the next start of the service makes it {LATEST}, and keeps a copy",
        )
    else:
        yield ok(f"database {name}: whole, revision {revision}")
    if revision is not None:
        yield from _ahead(connection)


def _ahead(connection: Connection) -> Iterator[Finding]:
    newest = (select(func.max(job.c.created_at)), select(func.max(worker.c.seen_at)))
    latest = max(connection.execute(each).scalar() or 0.0 for each in newest)
    if latest > time.time() + _AHEAD_S:
        yield problem(
            f"clock: {latest - time.time():,.0f} s behind the newest row of the database",
            "set the clock: jobs and log lines have its time",
        )
