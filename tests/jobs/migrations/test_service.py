"""A service of today on the data directory of an older one."""

from contextlib import closing
from pathlib import Path

import pytest

from app.jobs.db.database import Database
from app.jobs.db.migrations.revision import LATEST
from tests.jobs.migrations import older
from tests.jobs.studio import quick_service
from tests.test_supervisor import app

pytestmark = pytest.mark.processes


def test_a_service_goes_on_with_the_jobs_of_an_older_one(tmp_path: Path) -> None:
    path = older.make(tmp_path / "var")
    before = older.dump(path)
    kept = {"result_ttl_s": 1e10, "job_ttl_s": 1e10}  # the jobs are from years ago
    with quick_service(tmp_path, **kept) as (service, jobs):
        for job_id in (older.QUEUED, older.RUNNING):
            jobs.finish(job_id)
            assert jobs.result(job_id).content.startswith(b"\x89PNG")
        assert jobs.show(older.FINISHED)["status"] == "succeeded"
        assert jobs.result(older.FINISHED).content == older.RESULT
        assert jobs.show(older.CANCELLED)["status"] == "cancelled"
        (line,) = service.events("database migrated")
    assert line["before"] == "unversioned"
    assert line["now"] == LATEST
    assert Path(line["copy"]).name == f"atelier.db.before-{LATEST}"
    assert older.dump(Path(line["copy"])) == before


@pytest.mark.parametrize("command", ["serve", "web", "worker", "jobs"])
def test_newer_database_is_refused_with_an_explanation(tmp_path: Path, command: str) -> None:
    path = older.make(tmp_path)
    with closing(Database(f"sqlite:///{path}", 5)) as database:
        database.migrate()
    older.stamp(path, "9999")
    before = path.read_bytes()
    words = [command, "list"] if command == "jobs" else [command]
    refused = app(*words, ATELIER_DATA_DIR=str(tmp_path), ATELIER_PORT="0")
    assert refused.returncode == 2
    assert "revision 9999" in refused.stderr
    assert "run the newer program" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert path.read_bytes() == before
