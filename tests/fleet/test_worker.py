"""What a worker of a fleet consists of, and the outer net around its jobs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime.celery_broker import BrokerOptions, CeleryBroker
from tests.fleet.brokers import BrokerServer
from tests.fleet.door import Door
from tests.fleet.fleet import running_fleet
from tests.jobs.studio import LONG, kill_worker, quick_service
from tests.patience import patient
from tests.service import ROOT, wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(120)]


def maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_a_job_that_takes_too_long_loses_its_process(
    tmp_path: Path, broker: BrokerServer, postgres_url: str
) -> None:
    with running_fleet(
        tmp_path,
        webs=1,
        workers=1,
        database_url=postgres_url,
        broker_url=broker.url,
        job_time_limit_s=2,
    ) as fleet:
        (worker,) = fleet.workers
        (child,) = worker.children()
        assert "libtorch" not in maps(worker.pid)  # nor anything of CUDA before the fork
        assert "libtorch" in maps(child)
        jobs = fleet.studio()
        job_id = jobs.start(**LONG | {"size": 512})
        wait_until(lambda: len(fleet.events("job claimed", job_id=job_id)) > 1)
        assert child not in worker.children()
        jobs.client.post(f"/jobs/{job_id}/cancel")
        assert jobs.wait(job_id)["status"] in {"cancelled", "failed"}


def test_a_supervisor_keeps_such_workers_running_too(
    tmp_path: Path, broker: BrokerServer, postgres_url: str
) -> None:
    settings = {
        "database_url": postgres_url,
        "broker_url": broker.url,
        "broker_timeout_s": patient(1),
    }
    with quick_service(tmp_path, **settings) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 10)
        killed = kill_worker(service)
        jobs.finish(job_id)
        wait_until(lambda: service.worker_pid() not in (None, killed))
        assert len(service.events("job claimed")) == 2


def test_child_process_stopped_from_outside_is_replaced(
    tmp_path: Path, broker: BrokerServer, postgres_url: str
) -> None:
    with running_fleet(
        tmp_path, webs=1, workers=1, database_url=postgres_url, broker_url=broker.url
    ) as fleet:
        jobs = fleet.studio()
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 10)
        (child,) = fleet.workers[0].children()
        os.kill(child, signal.SIGTERM)
        wait_until(lambda: len(fleet.events("job claimed", job_id=job_id)) == 2)
        assert fleet.events("job left", job_id=job_id, status="queued")  # it was not torn away
        jobs.finish(job_id)
        assert child not in fleet.workers[0].children()


def test_a_process_whose_work_fails_takes_no_other_job(
    tmp_path: Path, broker: BrokerServer
) -> None:
    notes = tmp_path / "notes"
    carrier = CeleryBroker(BrokerOptions(broker.url, timeout_s=patient(1), time_limit_s=60))
    carrier.waiting()  # it makes the queue
    carrier.close()
    broker.take_all()
    words = ["-m", "tests.fleet.fragile", broker.url, str(notes)]
    worker = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        broker.repeat("first", 1)
        wait_until(lambda: notes.exists() and len(notes.read_text().splitlines()) == 2)
    finally:
        worker.terminate()
        worker.wait(patient())
    (failed, *one), (other, *two) = map(str.split, notes.read_text().splitlines())
    assert (one, two) == (["first", "False"], ["first", "True"])
    assert failed != other


def test_a_connection_that_loses_everything_is_given_up(
    tmp_path: Path, broker: BrokerServer, postgres_url: str
) -> None:
    door = Door(broker.port)
    url = broker.url.replace(str(broker.port), str(door.port))
    with running_fleet(
        tmp_path, webs=1, workers=1, database_url=postgres_url, broker_url=url
    ) as fleet:
        jobs = fleet.studio()
        jobs.paint()
        door.swallow()
        jobs.paint()
        door.swallow()
        fleet.workers[0].stop()
    door.close()
