"""A backup that is made while the service works is whole."""

import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import http_client
from tests.jobs.studio import LONG, QUICK, Studio
from tests.service import ROOT, running_service, wait_until

pytestmark = pytest.mark.deploy


def test_backup_of_a_busy_service_can_be_restored(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    with (
        running_service(tmp_path / "first", **QUICK) as service,
        http_client.connect(base_url=service.url) as client,
    ):
        studio = Studio(client)
        done = studio.paint()["links"]["self"]
        picture = client.get(f"{done}/result").content
        running = studio.submit(**LONG).json()["links"]["self"]
        wait_until(lambda: client.get(running).json()["progress"])
        _back_up(tmp_path / "first/var", archive)
    restored = tmp_path / "second/var"
    restored.mkdir(parents=True)
    unpack = ["tar", "--extract", "--directory", str(restored), "--file", str(archive)]
    subprocess.run(unpack, check=True)
    assert _is_sound(restored / "atelier.db")
    with running_service(tmp_path / "second", **QUICK) as service:
        assert http_client.get(f"{service.url}{done}/result").content == picture
        http_client.post(f"{service.url}{running}/finish")
        wait_until(lambda: http_client.get(service.url + running).json()["status"] == "succeeded")


def test_files_being_received_are_left_out_of_a_backup(tmp_path: Path) -> None:
    data, archive = tmp_path / "var", tmp_path / "backup.tar"

    def pieces() -> Iterator[bytes]:
        yield b"the beginning"
        wait_until(lambda: list(data.glob("incoming/*")))
        _back_up(data, archive)

    with running_service(tmp_path) as service:
        zipped = {"Content-Type": "application/zip"}
        http_client.post(f"{service.url}/evaluate?model=mnist", content=pieces(), headers=zipped)
    with tarfile.open(archive) as tar:
        assert "atelier.db" in tar.getnames()
        assert not [name for name in tar.getnames() if name.startswith("incoming")]


def test_there_is_no_backup_of_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    result = _run(tmp_path, archive)
    assert result.returncode != 0
    assert not (tmp_path / "atelier.db").exists()


def _back_up(data: Path, archive: Path) -> None:
    assert _run(data, archive).returncode == 0
    assert not list(data.glob(".*")), "it leaves nothing behind"


def _run(data: Path, archive: Path) -> subprocess.CompletedProcess[bytes]:
    script = (ROOT / "deploy/backup.py").read_bytes()
    with archive.open("wb") as output:
        return subprocess.run(
            [sys.executable, "-"],  # as in a container, which does not have the script
            check=False,
            input=script,
            stdout=output,
            env=os.environ | {"ATELIER_DATA_DIR": str(data)},
        )


def _is_sound(database: Path) -> bool:
    with sqlite3.connect(database) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(answer == ("ok",))
