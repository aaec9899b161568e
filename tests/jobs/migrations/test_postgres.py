"""Databases of every age on PostgreSQL."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import ProgrammingError

from app.jobs.db.database import Database
from app.jobs.db.migrations.revision import LATEST, REVISIONS, revision_of
from app.jobs.db.migrations.upgrade import scripts
from app.jobs.db.tables import metadata
from app.jobs.errors import DatabaseRevisionError, StoreUnavailableError
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.fleet.postgres import PostgresServer
from tests.jobs.migrations import older
from tests.jobs.orders import order

pytestmark = pytest.mark.fleet

_JOB = """
INSERT INTO job (id, kind, status, owner, priority, request_id, options, inputs, created_at,
    run_after, expired, attempt, crashes, failures, version, cancel_requested, finish_requested,
    checkpoints)
VALUES ('old', 'stylize', 'queued', 'ann', 0, '', '{}', '{}', 1, 0, false, 0, 0, 0, 1, false,
    false, '[]')
"""


def make_older(url: str, revision: str) -> None:
    found = scripts()
    opts: dict[str, Any] = {
        "fn": lambda before, _context: found._upgrade_revs(revision, before),
        "script": found,
    }
    with closing(Database(url, 5)) as database, database.write() as connection:
        context = MigrationContext.configure(connection, opts=opts)
        with Operations.context(context):
            context.run_migrations()
        connection.exec_driver_sql(_JOB)


def check_tables(url: str) -> None:
    with closing(Database(url, 5)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert revision_of(connection) == LATEST


def test_the_steps_lead_to_the_tables_that_the_program_uses(postgres_url: str) -> None:
    with closing(Database(postgres_url, 5)) as database:
        database.migrate()
        first = database.identity()
        database.migrate()
        assert database.identity() == first
    check_tables(postgres_url)


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_older_database_keeps_its_jobs(postgres_url: str, revision: str) -> None:
    make_older(postgres_url, revision)
    with closing(Database(postgres_url, 5)) as database:
        database.migrate()
        store = JobStore(database, QueueLimits(10, 10))
        assert store.create(order())[1]
        assert [job.id for job in store.page("ann", limit=10)][-1] == "old"
    check_tables(postgres_url)


def test_a_newer_database_is_refused(postgres_url: str) -> None:
    with closing(Database(postgres_url, 5)) as database:
        database.migrate()
        with psycopg.connect(postgres_url) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseRevisionError, match=r"revision 9999.*run the newer program"):
            database.migrate()


def test_a_step_that_fails_leaves_the_database_as_it_was(postgres_url: str) -> None:
    make_older(postgres_url, "0001")
    with psycopg.connect(postgres_url) as connection:  # in the way of the last step
        connection.execute("CREATE TABLE allowance (number INTEGER)")
    with closing(Database(postgres_url, 5)) as database:
        with pytest.raises(ProgrammingError, match="allowance"):
            database.migrate()
        with database.read() as connection_:
            assert revision_of(connection_) == "0001"


def test_user_without_permission_to_create_tables_gets_an_explanation(
    postgres: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    url = f"postgresql://guest:guest@127.0.0.1:{postgres.port}/{postgres_url.rpartition('/')[2]}"
    with (
        closing(Database(url, 5)) as database,
        pytest.raises(StoreUnavailableError, match="permission denied"),
    ):
        database.migrate()


def test_several_processes_that_start_at_once_migrate_once(postgres_url: str) -> None:
    make_older(postgres_url, "0001")
    older.migrate_at_once(postgres_url, 8)
    check_tables(postgres_url)
