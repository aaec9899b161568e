"""`python -m app doctor` on healthy and on broken installations."""

import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.doctor.checks import run_checks
from app.doctor.database import database
from app.doctor.finding import Finding, Level
from app.doctor.host import clock, consistency
from app.doctor.models import checkpoints, style
from app.doctor.storage import disk
from app.jobs.db.database import Database
from app.jobs.db.migrations.revision import LATEST
from app.settings import Settings
from tests.jobs.migrations import older
from tests.service import MODELS, ROOT, Service, running_service, wait_until
from tests.test_cli import app


def only(findings: list[Finding], level: Level) -> Finding:
    """Return the only finding of a level."""
    (found,) = [each for each in findings if each.level is level]
    return found


def migrated(folder: Path) -> Path:
    path = folder / "atelier.db"
    with closing(Database(f"sqlite:///{path}", 5)) as made:
        made.migrate()
    return path


def test_running_service_is_healthy_and_not_disturbed(service: Service) -> None:
    state = service.log.parent / "var"
    places = {"ATELIER_DATA_DIR": str(state), "ATELIER_MODELS_DIR": str(MODELS)}

    def leaves_files_unchanged() -> bool:  # the service itself writes once a minute
        before = _modification_times(state)
        result = app("doctor", "--port", str(service.port), "--json", **places)
        assert result.returncode == 0, result.stdout
        found = json.loads(result.stdout)
        assert {each["level"] for each in found} <= {"ok", "warning"}
        said = " / ".join(each["what"] for each in found)
        for words in (
            "cores",
            "model catdog",
            "VGG19",
            "can be written",
            "intact",
            "answers there",
        ):
            assert words in said
        return _modification_times(state) == before

    wait_until(leaves_files_unchanged)
    assert service.is_ready()


def _modification_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.processes
def test_problems_are_printed_as_lines_with_exit_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        places = {"ATELIER_DATA_DIR": str(tmp_path), "ATELIER_MODELS_DIR": str(tmp_path)}
        result = app("doctor", "--port", port, ATELIER_MIN_FREE_BYTES=str(10**16), **places)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert all(line.split()[0] in {"ok", "warning", "problem"} for line in lines)
    problems = [line for line in lines if line.startswith("problem")]
    for words in (
        "model mnist: There is no mnist.json",
        "no job is accepted; free some",
        f"address 127.0.0.1:{port}: another program uses it - choose another",
    ):
        assert any(words in line for line in problems), result.stdout
    assert "Traceback" not in result.stderr


def test_invalid_setting_is_a_problem() -> None:
    result = app("doctor", ATELIER_MAX_BATCH="many")
    assert result.returncode == 1
    assert result.stdout.startswith("problem  settings: max_batch")


@pytest.mark.parametrize("name", ["mnist.pt", "mnist.json"])
def test_damaged_checkpoint_is_a_problem(tmp_path: Path, name: str) -> None:
    models = tmp_path / "models"
    shutil.copytree(MODELS, models)
    (models / name).write_bytes((models / name).read_bytes()[:-10])
    found = list(checkpoints(Settings(models_dir=models)))
    assert "mnist" in only(found, Level.PROBLEM).what
    assert [each.level for each in found].count(Level.OK) == 2


def test_file_without_vgg19_weights_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "vgg.pth").write_bytes(b"no weights")
    found = only(list(style(Settings(vgg19_weights=tmp_path / "vgg.pth"))), Level.PROBLEM)
    assert "ATELIER_VGG19_WEIGHTS" in found.advice


def test_read_only_data_directory_is_a_problem() -> None:
    settings = Settings(
        data_dir=Path("/sys/atelier"), min_free_bytes=0
    )  # not even root can write there
    found = only(list(disk(settings)), Level.PROBLEM)
    assert "data directory /sys/atelier: " in found.what
    assert "let the service's user write there" in found.advice


def test_file_as_data_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = list(disk(Settings(data_dir=tmp_path / "file")))
    assert "Not a directory" in only(found, Level.PROBLEM).what


def test_data_directory_on_a_network_file_system_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"22 21 0:40 / {tmp_path}/my\\040share rw - nfs4 server:/share rw\n"
    )
    monkeypatch.setattr("app.doctor.storage._MOUNTS", mounts)
    (tmp_path / "my share").mkdir()
    found = list(disk(Settings(data_dir=tmp_path / "my share/var", min_free_bytes=0)))
    assert "nfs4" in only(found, Level.PROBLEM).what
    assert not [each for each in disk(Settings(data_dir=tmp_path)) if "nfs" in each.what]


def damaged(path: Path) -> None:
    older.stamp(path, LATEST)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * 8192)


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def newer(path: Path) -> None:
    older.stamp(path, "9999")


def from_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO worker VALUES ('w', 'cpu', 'float32', 1, NULL, 9e9, 9e9)")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damaged, "damaged"),
        (no_database, "damaged: file is not a database"),
        (newer, "revision 9999"),
        (from_the_future, "behind the newest row"),
    ],
)
def test_unusable_database_is_a_problem(
    tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    path = migrated(tmp_path)
    harm(path)
    before = path.read_bytes()
    found = only(list(database(Settings(data_dir=tmp_path))), Level.PROBLEM)
    assert words in found.what
    assert found.advice
    assert path.read_bytes() == before


def test_locked_database_is_a_problem(tmp_path: Path) -> None:
    path = migrated(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = only(list(database(Settings(data_dir=tmp_path))), Level.PROBLEM)
    assert "locked by another program" in found.what


def test_database_of_an_older_revision_is_a_warning(tmp_path: Path) -> None:
    path = older.make(tmp_path)
    before = path.read_bytes()
    found = only(list(database(Settings(data_dir=tmp_path))), Level.WARNING)
    assert "unversioned" in found.what
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+nosuch://me:secret@nowhere/atelier", "neither SQLite nor PostgreSQL"),
        ("postgresql://me:secret@127.0.0.1:9/atelier?password=secret", "127.0.0.1:9/atelier"),
        ("postgresql://me:1@secret@nowhere/atelier", "not a URL"),
    ],
)
def test_unusable_database_server_is_a_problem(url: str, said: str) -> None:
    found = only(list(database(Settings(database_url=SecretStr(url)))), Level.PROBLEM)
    assert said in found.what
    assert "secret" not in str(found)


def test_clock_behind_the_newest_file_is_a_problem(tmp_path: Path) -> None:
    os.utime(shutil.copy(ROOT / "README.md", tmp_path), (9e9, 9e9))
    assert "behind" in only(list(clock(Settings(data_dir=tmp_path))), Level.PROBLEM).what


def test_inconsistent_settings_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_PROT", "8001")
    settings = Settings(decode_threads=1000, job_ttl_s=1, default_model="resnet")
    said = " ".join(map(str, consistency(settings)))
    for words in ("there is no ATELIER_PROT", "1000 threads", "jobs expire", "'resnet'"):
        assert words in said


def test_inconsistent_settings_of_a_fleet_are_found() -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://atelier@db/atelier"),
        broker_url=SecretStr("redis://broker"),
        api_keys=f"alice:{'0' * 64}",
    )
    said = " ".join(map(str, consistency(settings)))
    for words in ("ATELIER_BLOBS_URL", "ATELIER_SESSION_SECRET"):
        assert words in said


@pytest.mark.processes
def test_failing_check_is_a_problem_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "atelier.db").mkdir()
    with running_service(tmp_path / "other") as service:
        found = list(run_checks(Settings(data_dir=tmp_path, port=service.port)))
    assert "atelier.db" in only(found, Level.PROBLEM).what
    assert "answers there" in found[-1].what
