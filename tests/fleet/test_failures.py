"""What a fleet survives. Every job ends with one result, whole, and no process is left behind."""

import io
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from tests.fleet.brokers import BrokerServer
from tests.fleet.door import Door
from tests.fleet.fleet import Fleet, Member
from tests.fleet.postgres import PostgresServer
from tests.fleet.s3 import keys_of
from tests.jobs.studio import LONG, Job, Studio
from tests.service import is_running, wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

EndsOnce = Callable[[Studio, str], Job]

SOON = {"quality": "preview"}


@pytest.fixture
def jobs(fleet: Fleet) -> Iterator[Studio]:
    studio = fleet.studio()
    yield studio
    studio.cancel_all()


@pytest.fixture
def ends_once(fleet: Fleet, door: Door) -> EndsOnce:
    """Finish a job, and check that its picture is whole and that there is no other."""

    def check(jobs: Studio, job_id: str) -> Job:
        done = jobs.finish(job_id)
        with Image.open(io.BytesIO(jobs.result(job_id).content)) as image:
            image.load()
            assert image.size == (done["options"]["width"], done["options"]["height"])
        wait_until(lambda: fleet.events("job left", job_id=job_id, status="succeeded"))
        assert len(fleet.events("job left", job_id=job_id, status="succeeded")) == 1
        folder = f"files/jobs/{job_id}/"
        wait_until(lambda: sum("/result." in key for key in keys_of(door, folder)) == 1)
        return done

    return check


@pytest.fixture
def begun(fleet: Fleet, jobs: Studio, door: Door) -> tuple[str, Member]:
    """A job with a checkpoint, and the worker that runs it."""
    job_id = jobs.start(**LONG)
    seen: set[str] = set()

    def has_second_checkpoint() -> bool:
        """Tell whether the first one is in the table by now."""
        keys = keys_of(door, f"files/jobs/{job_id}/")
        seen.update(key for key in keys if "/checkpoint-" in key)
        return len(seen) > 1

    wait_until(has_second_checkpoint)
    return job_id, fleet.runs(job_id)


def test_the_process_that_runs_a_job_is_killed(
    fleet: Fleet, jobs: Studio, begun: tuple[str, Member], ends_once: EndsOnce
) -> None:
    job_id, worker = begun
    (child,) = worker.children()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_running(child))
    at_kill = jobs.show(job_id)["progress"]["step"]
    jobs.wait_for_step(job_id, at_kill + 1)
    done = ends_once(jobs, job_id)
    assert len(fleet.events("job claimed", job_id=job_id)) == 2
    (left,) = fleet.events("job left", job_id=job_id)
    assert left["steps"] < done["progress"]["step"]  # it went on from a checkpoint
    wait_until(lambda: len(worker.children()) == 1)


def test_the_main_process_of_a_worker_is_killed(
    fleet: Fleet, jobs: Studio, begun: tuple[str, Member], ends_once: EndsOnce
) -> None:
    job_id, worker = begun
    (child,) = worker.children()
    worker.kill()
    wait_until(lambda: not is_running(child))
    ends_once(jobs, job_id)
    assert fleet.runs(job_id) is not worker


def test_a_worker_is_stopped_for_longer_than_a_lease(
    fleet: Fleet, jobs: Studio, begun: tuple[str, Member], ends_once: EndsOnce
) -> None:
    job_id, worker = begun
    (child,) = worker.children()
    stopped = (worker.pid, child)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        ends_once(jobs, job_id)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_until(
        lambda: (
            fleet.events("the worker ends itself", job_id=job_id)
            or fleet.events("the job is no longer this worker's", job_id=job_id)
        )
    )
    wait_until(worker.children)
    ends_once(jobs, jobs.start(**SOON))
    ends_once(jobs, job_id)


def test_a_web_process_is_killed_before_it_could_announce_a_job(
    fleet: Fleet, broker: BrokerServer, ends_once: EndsOnce
) -> None:
    web = fleet.webs[0]
    with broker.hanging():
        job_id = fleet.studio().start(**SOON)  # the client has its answer
        web.kill()
    ends_once(fleet.studio(1), job_id)


def test_job_survives_a_broker_outage(
    fleet: Fleet,
    jobs: Studio,
    broker: BrokerServer,
    begun: tuple[str, Member],
    ends_once: EndsOnce,
) -> None:
    job_id, _ = begun
    with broker.stopped():
        ends_once(jobs, job_id)
    ends_once(jobs, jobs.start(**SOON))
    assert len(fleet.events("job claimed", job_id=job_id)) == 1


def test_job_submitted_during_a_broker_outage_is_run(
    jobs: Studio, broker: BrokerServer, ends_once: EndsOnce
) -> None:
    with broker.stopped():
        response = jobs.submit(**SOON)
        assert response.status_code == 202
    ends_once(jobs, response.json()["id"])


def test_jobs_are_run_after_the_queue_was_purged(
    jobs: Studio, broker: BrokerServer, ends_once: EndsOnce
) -> None:
    ids = [jobs.start(**LONG if number < 2 else SOON) for number in range(6)]
    wait_until(lambda: broker.waiting() >= 4)
    assert broker.purge() >= 4
    for job_id in ids:
        ends_once(jobs, job_id)
    wait_until(lambda: broker.waiting() == 0)


def test_job_announced_five_times_runs_once(
    fleet: Fleet, jobs: Studio, broker: BrokerServer, ends_once: EndsOnce
) -> None:
    job_id = jobs.start(**SOON)
    broker.repeat(job_id, 5)
    ends_once(jobs, job_id)
    broker.repeat(job_id, 5)
    wait_until(lambda: broker.waiting() == 0)
    ends_once(jobs, jobs.start(**SOON))
    assert len(fleet.events("job claimed", job_id=job_id)) == 1


def test_the_database_restarts_in_mid_job(
    jobs: Studio, postgres: PostgresServer, begun: tuple[str, Member], ends_once: EndsOnce
) -> None:
    job_id, _ = begun
    postgres.restart("immediate")
    ends_once(jobs, job_id)
    ends_once(jobs, jobs.start(**SOON))


def test_a_worker_that_has_to_stop_gives_its_job_back(
    fleet: Fleet, jobs: Studio, begun: tuple[str, Member], ends_once: EndsOnce
) -> None:
    job_id, worker = begun
    worker.stop()
    assert worker.process.returncode == 0
    ends_once(jobs, job_id)
    assert jobs.show(job_id)["error"] is None
    assert not fleet.events("a worker lost its job", job_id=job_id)


def test_progress_and_events_come_from_every_web_process(fleet: Fleet, ends_once: EndsOnce) -> None:
    first, second = fleet.studio(0), fleet.studio(1)
    job_id = first.start(**LONG)
    first.wait_for_step(job_id, 5)
    with second.client.stream("GET", f"/jobs/{job_id}/events") as response:
        kinds: list[str] = []
        for line in response.iter_lines():
            kinds += [line] if line.startswith("event:") else []
            if kinds.count("event: progress") == 2:
                first.client.post(f"/jobs/{job_id}/finish")
    assert kinds[-1] == "event: end"
    assert kinds.count("event: progress") > 1
    ends_once(second, job_id)


def test_the_object_store_refuses_everything_for_a_while(
    fleet: Fleet, jobs: Studio, door: Door, ends_once: EndsOnce
) -> None:
    painted = jobs.start(**SOON)
    ends_once(jobs, painted)
    running = painting, given_up = [jobs.start(**LONG) for _ in fleet.workers]
    waiting = [jobs.start(**SOON) for _ in range(2)]
    for job_id in running:
        jobs.wait_for_step(job_id, 10)
    with door.shut():
        refused = jobs.submit(**SOON)
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert "127.0.0.1" not in refused.json()["detail"]
        assert jobs.client.get(f"/jobs/{painted}/preview").status_code == 503
        for job_id in running:  # it goes on to its end, and is not painted again
            jobs.client.post(f"/jobs/{job_id}/finish")
            _wait_for(fleet, job_id, 3, "the result waits for the object store")
        jobs.cancel(given_up)
        for job_id in waiting:  # nor does a job fail that begins, however often it is tried
            _wait_for(fleet, job_id, 5, "the job waits for the object store")
    for job_id in (painting, *waiting):
        ends_once(jobs, job_id)
    assert len(fleet.events("job claimed", job_id=painting)) == 1


def _wait_for(fleet: Fleet, job_id: str, times: int, event: str) -> None:
    wait_until(lambda: len(fleet.events(event, job_id=job_id)) >= times)


def test_nothing_is_kept_on_the_hosts_themselves(
    fleet: Fleet, jobs: Studio, door: Door, ends_once: EndsOnce
) -> None:
    job_id = jobs.start(**SOON)
    ends_once(jobs, job_id)
    asked = jobs.client.get(f"/jobs/{job_id}/result", follow_redirects=False)
    assert asked.status_code == 307
    assert asked.headers["location"].startswith(door.url)
    assert not (fleet.folder / "var/jobs").exists()
    assert jobs.client.delete(f"/jobs/{job_id}").status_code == 204
    assert keys_of(door, f"files/jobs/{job_id}/") == []
