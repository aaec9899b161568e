"""What can befall the database and the disk under a running job."""

import os
import resource
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.jobs.studio import LONG, quick_service
from tests.service import wait_until

pytestmark = pytest.mark.failures


def test_a_database_locked_for_a_while_delays_and_breaks_nothing(tmp_path: Path) -> None:
    with quick_service(tmp_path, lease_s=20, lease_give_up_s=10) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        other = sqlite3.connect(tmp_path / "var/atelier.db", isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        refused = jobs.client.get(f"/jobs/{job_id}")
        asked_at = time.monotonic()
        assert jobs.client.get("/health/ready").status_code == 200
        assert time.monotonic() - asked_at < 2
        time.sleep(2)
        other.execute("ROLLBACK")
        other.close()
        assert refused.status_code == 503
        assert refused.json()["code"] == "store_unavailable"
        assert refused.headers["retry-after"]
        assert jobs.wait(job_id)["status"] == "succeeded"
        assert len(service.events("job claimed")) == 1


def test_a_database_file_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        assert jobs.wait(jobs.start(quality="preview"))["status"] == "succeeded"
        (tmp_path / "var/atelier.db").write_bytes(b"this is no database" * 1000)
        assert jobs.client.get("/jobs").status_code == 503
        (tmp_path / "var/atelier.db").unlink()
        worker = service.worker_pid()
        assert worker is not None
        os.kill(worker, signal.SIGTERM)  # the next one makes the tables
        wait_until(lambda: jobs.client.get("/jobs").json().get("jobs") == [])


def test_a_worker_that_cannot_renew_its_lease_ends_itself(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        other = sqlite3.connect(tmp_path / "var/atelier.db", isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: service.events("the worker ends itself"))
        other.execute("ROLLBACK")
        other.close()
        assert jobs.wait(job_id)["status"] == "succeeded"


def test_a_disk_that_fills_up_during_a_checkpoint_costs_the_checkpoint_only(
    tmp_path: Path,
) -> None:
    with quick_service(tmp_path) as (service, jobs):
        worker = service.worker_pid()
        assert worker is not None
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        job_id = jobs.start(**LONG | {"size": 128})
        jobs.wait_for_step(job_id, 10)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (120_000, hard))  # the database fits
        wait_until(lambda: service.events("the checkpoint cannot be kept"))
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        assert jobs.wait(job_id)["status"] == "succeeded"
        assert jobs.result(job_id).status_code == 200
        assert not [path for path in (tmp_path / "var/jobs").rglob(".*") if path.is_file()]


def test_a_result_that_cannot_be_stored_fails_the_job_after_some_tries(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        worker = service.worker_pid()
        assert worker is not None
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (120_000, hard))  # the database fits
        failed = jobs.wait(jobs.start(size=256, quality="preview"))
        assert failed["error"]["code"] == "storage_failed"
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        assert jobs.wait(jobs.start(quality="preview"))["status"] == "succeeded"


@pytest.mark.parametrize("damaged", ["newest", "all"])
def test_a_truncated_checkpoint_is_passed_over(tmp_path: Path, damaged: str) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        at_stop = jobs.wait_for_step(job_id, 60)["progress"]["step"]
    folder = tmp_path / "var/jobs" / job_id
    checkpoints = sorted(
        folder.rglob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2])
    )
    assert len(checkpoints) == 2
    for path in checkpoints[-1:] if damaged == "newest" else checkpoints:
        path.write_bytes(path.read_bytes()[:1000])
    with quick_service(tmp_path) as (service, jobs):
        done = jobs.wait(job_id)
        assert done["status"] == "succeeded"
        assert len(service.events("a checkpoint cannot be read; an older one is tried")) == (
            1 if damaged == "newest" else 2
        )
        (left,) = service.events("job left")
        if damaged == "newest":
            assert left["steps"] <= done["progress"]["steps"] - at_stop + 20


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with quick_service(tmp_path, max_queued_jobs=2) as (_, jobs):
        running = jobs.start(**LONG)
        jobs.wait_for_step(running, 1)
        waiting = [jobs.start(**LONG) for _ in range(2)]
        refused = jobs.submit(**LONG)
        assert refused.status_code == 429
        assert refused.json()["code"] == "queue_full"
        assert int(refused.headers["retry-after"]) > 0
        for job_id in [running, *waiting]:
            jobs.client.post(f"/jobs/{job_id}/cancel")
        jobs.wait(running)
        assert jobs.wait(jobs.start(quality="preview"))["status"] == "succeeded"


def test_no_job_is_accepted_below_the_free_disk_floor(tmp_path: Path) -> None:
    with quick_service(tmp_path, min_free_bytes=10**15) as (_, jobs):
        refused = jobs.submit()
        assert refused.status_code == 507
        assert refused.json()["code"] == "storage_full"
        assert not (tmp_path / "var/jobs").exists()
