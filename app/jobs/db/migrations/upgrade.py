"""Migration of a database to the latest revision, in one transaction.

`versions` has one Alembic module per step; Alembic is configured here instead of in files.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from app.jobs.db.migrations.copies import keep_copy
from app.jobs.db.migrations.revision import LATEST, check_known, revision_of
from app.jobs.errors import StoreUnavailableError

log = structlog.stdlib.get_logger(__name__)

_LOCK = 7_411_985_303
"""The key of PostgreSQL's advisory lock for migrations."""


def scripts() -> ScriptDirectory:
    """Return the migration steps."""
    folder = Path(__file__).parent
    return ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])


def upgrade(connection: Connection) -> None:
    """Apply the missing steps. Other processes that call this wait.

    The caller's transaction makes the migration atomic. On SQLite it has to hold the write lock; a
    file with jobs is copied first.

    Raises:
        DatabaseRevisionError: the database is newer than this program.
        StoreUnavailableError: the copy cannot be written.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    revision = revision_of(connection)
    check_known(revision)
    if revision == LATEST:  # another process was faster
        return
    copy = _copy(connection) if revision else None
    try:
        _step(connection)
    except BaseException:  # the database is unchanged and needs no copy
        if copy:
            copy.unlink(missing_ok=True)
        raise
    if revision:
        log.info("database migrated", before=revision, now=LATEST, copy=str(copy))
    else:
        log.debug("database made", now=LATEST)


def _copy(connection: Connection) -> Path | None:
    file = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not file or file == ":memory:":
        return None
    try:
        return keep_copy(Path(file), LATEST)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(
            f"the job database cannot be copied before its migration: {error}"
        ) from error


def _step(connection: Connection) -> None:
    found = scripts()

    def steps(revision: Any, _context: MigrationContext) -> Iterable[RevisionStep]:
        return found._upgrade_revs(LATEST, revision)  # as Alembic's command line does

    context = MigrationContext.configure(
        connection, opts={"fn": steps, "script": found, "transactional_ddl": True}
    )
    with Operations.context(context):
        context.run_migrations()
