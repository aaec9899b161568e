"""What can befall the processes of a running job, caused with real ones."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import torch
from torchvision.models import vgg19

from tests import http_client
from tests.jobs.studio import LONG, Job, Studio, kill_worker, quick_service
from tests.patience import patient
from tests.service import Service, is_running, wait_until

pytestmark = pytest.mark.failures


def newest_checkpoint(folder: Path, job_id: str) -> int:
    """The step of the newest checkpoint that is kept, or 0."""
    kept = (folder / "var/jobs" / job_id).rglob("checkpoint-*")
    return max((int(path.name.partition("-")[2]) for path in kept), default=0)


def test_a_killed_worker_loses_only_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        kept = wait_until(lambda: newest_checkpoint(tmp_path, job_id))
        wait_until(lambda: newest_checkpoint(tmp_path, job_id) > kept)  # so that it is in the table
        at_kill = jobs.show(job_id)["progress"]["step"]
        kill_worker(service)
        steps = []

        def has_gone_on(job: Job) -> bool:
            steps.append(job["progress"]["step"])
            return steps[-1] > at_kill and len(service.events("job claimed")) == 2

        jobs.wait(job_id, has_gone_on)
        assert steps == sorted(steps), "the step fell"
        done = jobs.finish(job_id)
        (left,) = wait_until(lambda: service.events("job left"))
        assert left["attempt"] == 2
        assert done["progress"]["step"] - left["steps"] >= kept
        assert jobs.result(job_id).status_code == 200
        assert done["error"] is None


@pytest.mark.parametrize("victims", [("web",), ("supervisor",), ("supervisor", "web", "worker")])
def test_a_job_survives_the_death_of(tmp_path: Path, victims: tuple[str, ...]) -> None:
    with quick_service(tmp_path) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        pids = {"supervisor": service.process.pid, "web": service.web_pid()}
        pids["worker"] = service.worker_pid()
        for victim in victims:
            pid = pids[victim]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        if victims == ("web",):
            jobs.finish(job_id)
            return
        service.process.wait(patient())
        wait_until(lambda: not any(pid and is_running(pid) for pid in pids.values()))
    with quick_service(tmp_path) as (service, jobs):
        jobs.finish(job_id)
        assert jobs.result(job_id).headers["content-type"] == "image/png"


def _stop_between_writes(pid: int, database: Path) -> None:
    """Stop a process while it does not hold SQLite's one lock, without which all would wait."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(database, timeout=0.3)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)  # for it to let go of the lock
        else:
            return


def test_a_worker_that_slept_too_long_fences_itself(tmp_path: Path) -> None:
    with quick_service(tmp_path, workers=2) as (service, jobs):
        wait_until(lambda: len(service.events("worker ready")) == 2)
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
        (claim,) = service.events("job claimed")
        sleeper = claim["pid"]
        _stop_between_writes(sleeper, tmp_path / "var/atelier.db")
        try:
            wait_until(lambda: len(service.events("job claimed")) == 2)
        finally:
            os.kill(sleeper, signal.SIGCONT)
        wait_until(
            lambda: (
                service.events("the worker ends itself")
                or service.events("the job is no longer this worker's")
            )
        )
        jobs.finish(job_id)
        (left,) = wait_until(lambda: service.events("job left"))
        assert left["attempt"] == 2


def _is_painting(service: Service, jobs: Studio, job_id: str, attempt: int) -> bool:
    claims = len(service.events("job claimed"))
    job = jobs.show(job_id)
    return claims >= attempt and job["status"] == "running" and bool(job["links"]["preview"])


def test_a_job_that_kills_every_worker_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    with quick_service(tmp_path, checkpoint_s=60) as (service, jobs):
        deadly, good = jobs.start(**LONG), jobs.start()
        for attempt in (1, 2, 3):
            wait_until(partial(_is_painting, service, jobs, deadly, attempt))
            kill_worker(service)
        failed = jobs.wait(deadly)
        assert failed["error"]["code"] == "worker_crashed"
        preview = jobs.client.get(failed["links"]["preview"])
        assert preview.headers["content-type"] == "image/jpeg"
        assert jobs.wait(good)["status"] == "succeeded"


def test_sigterm_keeps_what_was_painted(tmp_path: Path) -> None:
    with quick_service(tmp_path, checkpoint_s=60) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 20)
    with quick_service(tmp_path, checkpoint_s=60) as (service, jobs):
        seen = jobs.show(job_id)
        assert seen["progress"]["step"] >= 20
        done = jobs.finish(job_id)
        (left,) = wait_until(lambda: service.events("job left"))
        assert done["progress"]["step"] - left["steps"] >= 20


def test_cancel_in_each_state(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (_, jobs):
        running, waiting = jobs.start(**LONG), jobs.start(**LONG)
        jobs.wait_for_step(running, 5)
        now = jobs.client.post(f"/jobs/{waiting}/cancel").json()
        assert now["status"] == "cancelled"
        jobs.client.post(f"/jobs/{running}/cancel")
        assert jobs.wait(running)["status"] == "cancelled"
        assert jobs.client.post(f"/jobs/{running}/cancel").json()["status"] == "cancelled"
        done = jobs.start()
        jobs.finish(done)
        assert jobs.client.post(f"/jobs/{done}/cancel").json()["status"] == "succeeded"
        assert jobs.result(done).status_code == 200


def test_cancel_and_finish_in_the_same_instant_leave_one_whole_state(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        for _ in range(5):
            job_id = jobs.start(**LONG)
            jobs.wait_for_step(job_id, 5)
            threads = [
                threading.Thread(
                    target=http_client.post, args=(f"{service.url}/jobs/{job_id}/{word}",)
                )
                for word in ("cancel", "finish")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            ended = jobs.wait(job_id)
            assert ended["status"] in {"succeeded", "cancelled"}
            whole = 200 if ended["status"] == "succeeded" else 409
            assert jobs.result(job_id).status_code == whole


def test_a_step_that_hangs_ends_the_worker_and_not_the_queue(tmp_path: Path) -> None:
    with quick_service(tmp_path, stall_s=patient(3)) as (service, jobs):
        first = jobs.start(**LONG)
        jobs.wait_for_step(first, 1)
        hanging, good = jobs.start(), jobs.start()
        (photo,) = (tmp_path / "var/jobs" / hanging).rglob("content*")
        photo.unlink()
        os.mkfifo(photo)  # nobody will write to it
        jobs.cancel(first)
        assert jobs.wait(hanging)["error"]["code"] == "worker_crashed"
        assert "Timeout" in service.log.read_text()
        jobs.finish(good)


def test_a_worker_that_cannot_start_again_takes_nothing_with_it(tmp_path: Path) -> None:
    weights, away = tmp_path / "vgg19.pt", tmp_path / "away.pt"
    state = vgg19().state_dict()
    torch.save({name: each for name, each in state.items() if "features" in name}, weights)
    settings = {"vgg19_weights": weights}
    with quick_service(tmp_path, **settings) as (service, jobs):
        weights.rename(away)
        kill_worker(service)
        wait_until(lambda: len(service.events("child died")) > 2)
        job_id = jobs.start()
        assert jobs.show(job_id)["status"] == "queued"
        away.rename(weights)
        assert jobs.wait(job_id)["status"] == "succeeded"
