"""Databases of every age, and what becomes of them."""

import io
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from app.jobs.db.database import Database
from app.jobs.db.migrations.revision import LATEST, REVISIONS, revision_of
from app.jobs.db.migrations.upgrade import scripts
from app.jobs.db.tables import metadata
from app.jobs.errors import DatabaseRevisionError, StoreUnavailableError
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.model import JobStatus
from app.jobs.queue import JobQueue
from app.jobs.storage.local import LocalStorage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.jobs.migrations import older
from tests.jobs.orders import order
from tests.patience import patient
from tests.service import ROOT


def opened(path: Path, timeout_s: float = 5) -> Database:
    return Database(f"sqlite:///{path}", timeout_s)


def revision(path: Path) -> str | None:
    with closing(opened(path)) as database, database.read() as connection:
        return revision_of(connection)


def copies(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("*.before-*"))


def test_the_revisions_are_those_that_there_are_steps_for() -> None:
    found = [script.revision for script in scripts().walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


@pytest.mark.parametrize("age", ["new", "unversioned"])
def test_the_steps_lead_to_the_tables_that_the_program_uses(tmp_path: Path, age: str) -> None:
    path = older.make(tmp_path) if age == "unversioned" else tmp_path / "atelier.db"
    with closing(opened(path)) as database:
        database.migrate()
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
            assert revision_of(connection) == LATEST


def test_the_steps_are_sql_that_postgresql_has() -> None:
    written, found = io.StringIO(), scripts()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={
            "as_sql": True,
            "output_buffer": written,
            "script": found,
            "fn": lambda revision, _: found._upgrade_revs(LATEST, revision),
        },
    )
    with Operations.context(context):
        context.run_migrations()
    sql = written.getvalue()
    assert "number BIGSERIAL NOT NULL" in sql
    assert "CREATE INDEX job_by_end ON job (expired, finished_at)" in sql
    assert f"version_num='{LATEST}'" in sql


def test_a_new_database_has_no_copy(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "atelier.db")) as database:
        database.migrate()
        first = database.identity()
        database.migrate()
        assert database.identity() == first
    assert copies(tmp_path / "atelier.db") == []


def test_an_older_database_keeps_its_jobs_and_a_copy_of_itself(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    before = older.dump(path)
    with closing(opened(path)) as database:
        database.migrate()
        store = JobStore(database, QueueLimits(10, 10))
        assert [job.id for job in store.page(limit=10)] == [
            older.QUEUED,
            older.RUNNING,
            older.CANCELLED,
            older.FINISHED,
        ]
        assert store.find(older.FINISHED).status is JobStatus.SUCCEEDED
    assert copies(path) == [f"atelier.db.before-{LATEST}"]
    assert older.dump(tmp_path / f"atelier.db.before-{LATEST}") == before


@pytest.mark.parametrize("ahead_s", [0.0, 4e8, -4e8])
def test_no_job_is_old_at_once_after_an_upgrade_with_a_wrong_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    path = older.make(tmp_path)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    with closing(opened(path)) as database:
        database.migrate()
        queue, retention = JobQueue(database, 30, 1), Retention(86_400, 86_400, 86_400, 9)
        Maintenance(database, queue, LocalStorage(tmp_path), Spool(tmp_path), retention).tick()
        assert not JobStore(database, QueueLimits(10, 10)).find(older.FINISHED).expired


def test_a_copy_is_never_overwritten(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    first = tmp_path / f"atelier.db.before-{LATEST}"
    first.write_bytes(b"of another time")
    with closing(opened(path)) as database:
        database.migrate()
    assert first.read_bytes() == b"of another time"
    assert copies(path) == [first.name, f"{first.name}-2"]
    assert "6e4e4185" in "".join(older.dump(tmp_path / f"{first.name}-2"))


def test_a_database_older_than_its_last_columns_gets_them(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE job DROP COLUMN extras")
        connection.execute("DROP TABLE identity")
    with closing(opened(path)) as database:
        database.migrate()
        assert database.identity()
        store = JobStore(database, QueueLimits(10, 10))
        assert store.find(older.FINISHED).extras == {}
        assert store.create(order())[1]


def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    with closing(opened(path)) as database:
        database.migrate()
    older.stamp(path, "9999")
    before = path.read_bytes()
    with closing(opened(path)) as database:
        with pytest.raises(DatabaseRevisionError, match=r"revision 9999.*run the newer program"):
            database.migrate()
        with pytest.raises(DatabaseRevisionError, match="9999"):
            database.check_revision()
    assert path.read_bytes() == before
    assert copies(path) == [f"atelier.db.before-{LATEST}"]


def test_read_only_check_does_not_change_an_older_database(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    before = path.read_bytes()
    with (
        closing(opened(path)) as database,
        pytest.raises(DatabaseRevisionError, match="start the service"),
    ):
        database.check_revision()
    assert path.read_bytes() == before


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    with closing(sqlite3.connect(path)) as connection:  # in the way of the last step
        connection.execute("CREATE TABLE job_by_end (number INTEGER)")
    before = older.dump(path)
    with (
        closing(opened(path)) as database,
        pytest.raises(StoreUnavailableError, match="job_by_end"),
    ):
        database.migrate()
    assert older.dump(path) == before
    assert copies(path) == []
    assert revision(path) == "unversioned"


def test_a_copy_that_cannot_be_made_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = older.make(tmp_path / "f")
    before = older.dump(path)
    long = path.rename(path.with_name("x" * 250))  # no room for the end of the copy's name
    with (
        closing(opened(long)) as database,
        pytest.raises(StoreUnavailableError, match="cannot be copied"),
    ):
        database.migrate()
    assert older.dump(long) == before


def test_several_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    older.migrate_at_once(f"sqlite:///{path}", 6)
    assert revision(path) == LATEST
    assert copies(path) == [f"atelier.db.before-{LATEST}"]


def test_a_process_that_comes_second_waits_longer_than_for_a_lock(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    code = (
        "import sys, time; from app.jobs.db.database import Database\n"
        "from sqlalchemy import event; from sqlalchemy.engine import Engine\n"
        "seen = lambda c, cu, statement, *_: 'job_by_end' in statement and "
        "(print('busy', flush=True), time.sleep(2))\n"
        "event.listen(Engine, 'before_cursor_execute', seen)\n"
        f"Database('sqlite:///{path}', 0.1).migrate()"
    )
    with (
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as slow,
        closing(opened(path, 0.1)) as database,
    ):
        assert slow.stdout is not None
        assert slow.stdout.readline() == b"busy\n"
        database.migrate()
        assert slow.wait(patient()) == 0
    assert copies(path) == [f"atelier.db.before-{LATEST}"]


def test_a_database_that_is_up_to_date_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    with closing(opened(path)) as database:
        database.migrate()
        statements: list[str] = []

        def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            database.migrate()
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert "BEGIN" in statements
        assert "BEGIN IMMEDIATE" not in statements


def test_alembic_is_imported_only_where_there_is_something_to_do(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    with closing(opened(path)) as database:
        database.migrate()
    code = (
        "import sys; from app.jobs.db.database import Database\n"
        f"Database('sqlite:///{path}', 5).migrate()\n"
        "assert not {'alembic', 'torch', 'fastapi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
