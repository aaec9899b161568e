"""What a worker of a fleet consists of, and the outer net around its jobs."""

from pathlib import Path

import pytest

from tests.fleet.brokers import BrokerServer
from tests.fleet.fleet import running_fleet
from tests.jobs.studio import LONG, kill_worker, quick_service
from tests.service import wait_until

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
    settings = {"database_url": postgres_url, "broker_url": broker.url, "broker_timeout_s": 1}
    with quick_service(tmp_path, **settings) as (service, jobs):
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 30)
        killed = kill_worker(service)
        assert jobs.wait(job_id)["status"] == "succeeded"
        wait_until(lambda: service.worker_pid() not in (None, killed))
        assert len(service.events("job claimed")) == 2
