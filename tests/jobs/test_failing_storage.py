"""What can befall the database and the disk under a running job."""

import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.s3 import BUCKET, environment, keys_of, running_store
from tests.jobs.studio import LONG, quick_service
from tests.patience import patient
from tests.service import wait_until

pytestmark = pytest.mark.failures


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the job database, so that nobody else can read or write."""
    other = sqlite3.connect(folder / "var/atelier.db", isolation_level=None, timeout=patient())
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def files_limited(pid: int, longest_bytes: int) -> Iterator[None]:
    """Let a process write no longer files, as on a full disk; the database has to fit."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (longest_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_database_locked_for_a_while_delays_and_breaks_nothing(tmp_path: Path) -> None:
    with quick_service(tmp_path, lease_s=patient(), lease_give_up_s=patient(30)) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        with locked(tmp_path):
            refused = jobs.client.get(f"/jobs/{job_id}")
            ready = jobs.client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.elapsed.total_seconds() < patient(10)
            wait_until(lambda: service.events("the progress cannot be reported"))
        assert refused.status_code == 503
        assert refused.json()["code"] == "store_unavailable"
        assert refused.headers["retry-after"]
        jobs.finish(job_id)
        assert len(service.events("job claimed")) == 1


def test_a_database_file_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        jobs.paint()
        (tmp_path / "var/atelier.db").write_bytes(b"this is no database" * 1000)
        refused = jobs.client.get("/jobs")
        assert refused.status_code == 503
        assert "file is not a database" not in refused.text
        (logged, *_) = service.events("request refused")
        assert logged["request_id"] == refused.headers["x-request-id"]
        assert "file is not a database" in logged["error"]
        (tmp_path / "var/atelier.db").unlink()
        worker = service.worker_pid()
        assert worker is not None
        os.kill(worker, signal.SIGTERM)  # the next one makes the tables
        wait_until(lambda: jobs.client.get("/jobs").json().get("jobs") == [])


def test_a_worker_that_cannot_renew_its_lease_ends_itself(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        with locked(tmp_path):
            wait_until(lambda: service.events("the worker ends itself"))
        jobs.finish(job_id)


def test_a_disk_that_fills_up_during_a_checkpoint_costs_the_checkpoint_only(
    tmp_path: Path,
) -> None:
    with quick_service(tmp_path) as (service, jobs):
        worker = service.worker_pid()
        assert worker is not None
        job_id = jobs.start(**LONG | {"size": 512})  # whose first checkpoints exceed the limit
        jobs.wait_for_step(job_id, 10)
        with files_limited(worker, 120_000):
            wait_until(lambda: service.events("the checkpoint cannot be stored"))
        jobs.finish(job_id)
        assert jobs.result(job_id).status_code == 200
        assert not [path for path in (tmp_path / "var/jobs").rglob(".*") if path.is_file()]


def test_a_result_that_cannot_be_stored_fails_the_job_after_some_tries(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        worker = service.worker_pid()
        assert worker is not None
        with files_limited(worker, 120_000):
            job_id = jobs.start(**LONG | {"size": 512})
            jobs.client.post(f"/jobs/{job_id}/finish")
            failed = jobs.wait(job_id)
        assert failed["error"]["code"] == "storage_failed"
        jobs.paint()


@pytest.mark.parametrize("damaged", ["newest", "all"])
def test_a_truncated_checkpoint_is_passed_over(tmp_path: Path, damaged: str) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        folder = tmp_path / "var/jobs" / job_id
        wait_until(lambda: len(list(folder.rglob("checkpoint-*"))) >= 2)
    checkpoints = sorted(folder.rglob("checkpoint-*"), key=_step_of)
    assert len(checkpoints) == 2
    for path in checkpoints[-1:] if damaged == "newest" else checkpoints:
        path.write_bytes(path.read_bytes()[:1000])
    with quick_service(tmp_path) as (service, jobs):
        at_stop = jobs.show(job_id)["progress"]["step"]
        jobs.wait_for_step(job_id, at_stop + 1)
        done = jobs.finish(job_id)
        (left,) = wait_until(lambda: service.events("job left"))
        older, newest = (str(path.relative_to(tmp_path / "var")) for path in checkpoints)
        passed_over = service.events("a checkpoint cannot be read; an older one is tried")
        continued = service.events("job continues from a checkpoint")
        if damaged == "newest":
            assert [event["key"] for event in passed_over] == [newest]
            assert [event["key"] for event in continued] == [older]
            # Rejected steps count as progress, so the difference may exceed the checkpoint's step.
            assert done["progress"]["step"] - left["steps"] >= _step_of(checkpoints[0]) > 0
        else:
            assert [event["key"] for event in passed_over] == [newest, older]
            assert continued == []


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


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
            jobs.cancel(job_id)
        jobs.paint()


def test_no_job_is_accepted_below_the_free_disk_floor(tmp_path: Path) -> None:
    with quick_service(tmp_path, min_free_bytes=10**15) as (_, jobs):
        refused = jobs.submit()
        assert refused.status_code == 507
        assert refused.json()["code"] == "storage_full"
        assert not (tmp_path / "var/jobs").exists()


def test_a_result_that_no_store_takes_fails_the_job_which_can_then_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_store(tmp_path) as door:
        for name, value in environment(door).items():
            monkeypatch.setenv(name, value)
        settings = {"blobs_url": f"s3://{BUCKET}/files", "result_wait_s": 1}
        with quick_service(tmp_path / "service", **settings) as (service, jobs):
            job_id = jobs.start(**LONG)
            wait_until(lambda: "checkpoint-" in str(keys_of(door, f"files/jobs/{job_id}/1/")))
            with door.read_only():
                jobs.client.post(f"/jobs/{job_id}/finish")
                failed = jobs.wait(job_id)
                assert failed["status"] == "failed"
                assert failed["error"]["code"] == "storage_failed"
            assert len(service.events("job claimed")) == 1
            continued = jobs.client.post(f"/jobs/{job_id}/continue", json={})
            assert continued.status_code == 202, continued.text
            jobs.finish(continued.json()["id"])
            assert jobs.result(continued.json()["id"]).status_code in {200, 307}
