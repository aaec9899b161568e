"""What a worker of a fleet consists of, and the outer net around its jobs."""

from pathlib import Path

import pytest

from tests.fleet.brokers import BrokerServer
from tests.fleet.fleet import running_fleet
from tests.jobs.studio import LONG

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(120)]


def maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_a_job_that_takes_too_long_is_ended_and_gone_on_with(
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
        job_id = jobs.start(**LONG | {"size": 160})
        assert jobs.wait(job_id)["status"] == "succeeded"
        assert len(fleet.events("job claimed", job_id=job_id)) > 1
        assert child not in worker.children()
