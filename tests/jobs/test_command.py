"""`python -m app jobs`, on a database without a running service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs.db.database import Database
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.jobs.orders import order
from tests.service import ROOT


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    opened = Database(f"sqlite:///{tmp_path / 'atelier.db'}", timeout_s=5)
    opened.migrate()
    return JobStore(opened, QueueLimits(10, 10))


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "jobs", *words],
        env=os.environ | {"ATELIER_DATA_DIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_jobs_are_listed_shown_and_cancelled(tmp_path: Path, store: JobStore) -> None:
    first, second = (store.create(order(owner))[0] for owner in ("ann", "bob"))
    listed = call(tmp_path, "list", "--status", "queued")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.index(second.id) < listed.stdout.index(first.id)
    shown = json.loads(call(tmp_path, "show", first.id).stdout)
    assert (shown["owner"], shown["status"]) == ("ann", "queued")
    cancelled = json.loads(call(tmp_path, "cancel", first.id).stdout)
    assert cancelled["status"] == "cancelled"
    assert first.id not in call(tmp_path, "list", "--status", "queued").stdout


def test_unknown_job_is_reported(tmp_path: Path, store: JobStore) -> None:
    store.create(order())
    missing = call(tmp_path, "show", "nothing")
    assert missing.returncode != 0
    assert "there is no job 'nothing'" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("limit", ["0", "-3", "9" * 25, "many"])
def test_invalid_limit_is_explained(tmp_path: Path, limit: str) -> None:
    refused = call(tmp_path, "list", "--limit", limit)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "is not a number from 1" in refused.stderr
