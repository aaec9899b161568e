"""How members of a fleet start, and refuse to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.brokers import KINDS, BrokerServer, running_broker
from tests.fleet.fleet import running_fleet
from tests.fleet.postgres import PostgresServer
from tests.jobs.studio import LONG
from tests.patience import patient
from tests.service import ROOT, wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"DEVICE": "cuda:7"}, "cuda"),
        ({"BLOBS_URL": "ftp://host/x"}, "ATELIER_BLOBS_URL"),
    ],
)
def test_worker_that_cannot_start_logs_the_reason_and_exits(
    tmp_path: Path, broker: BrokerServer, postgres_url: str, wrong: dict[str, str], words: str
) -> None:
    given = {"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres_url, "BROKER_URL": broker.url}
    result = subprocess.run(
        [sys.executable, "-m", "app", "worker"],
        cwd=ROOT,
        env=os.environ | {f"ATELIER_{name}": value for name, value in (given | wrong).items()},
        check=False,
        capture_output=True,
        text=True,
        timeout=patient(),
    )
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert "guest:guest" not in result.stderr


def test_a_worker_that_the_broker_refuses_says_what_to_check_and_ends(
    tmp_path: Path, broker: BrokerServer, postgres_url: str
) -> None:
    scheme, _, place = broker.url.partition("://")
    url = f"{scheme}://guest:a-wrong-one@{place.rpartition('@')[2]}"
    given = {"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres_url, "BROKER_URL": url}
    result = subprocess.run(
        [sys.executable, "-m", "app", "worker"],
        cwd=ROOT,
        env=os.environ | {f"ATELIER_{name}": value for name, value in given.items()},
        check=False,
        capture_output=True,
        text=True,
        timeout=patient(),
    )
    assert result.returncode == 2, result.stderr
    assert "ATELIER_BROKER_URL" in result.stderr
    assert "Traceback" not in result.stderr
    assert "a-wrong-one" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_to_stop_gives_its_job_back(
    tmp_path: Path, broker: BrokerServer, postgres_url: str, number: signal.Signals
) -> None:
    with running_fleet(
        tmp_path, webs=1, workers=1, database_url=postgres_url, broker_url=broker.url
    ) as fleet:
        jobs = fleet.studio()
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 5)
        (worker,) = fleet.workers
        worker.process.send_signal(number)
        assert worker.process.wait(patient()) == 0
        assert jobs.show(job_id)["status"] == "queued"


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_may_come_last(tmp_path: Path, postgres_url: str, kind: str) -> None:
    with running_broker(kind) as late:
        late.stop()
        with running_fleet(
            tmp_path, webs=1, workers=1, database_url=postgres_url, broker_url=late.url
        ) as fleet:
            jobs = fleet.studio()
            job_id = jobs.start()
            late.start()
            jobs.finish(job_id)


def test_a_database_may_come_after_a_worker(
    tmp_path: Path, broker: BrokerServer, postgres: PostgresServer, postgres_url: str
) -> None:
    with running_fleet(
        tmp_path, webs=1, workers=0, database_url=postgres_url, broker_url=broker.url
    ) as fleet:
        jobs = fleet.studio()
        job_id = jobs.start()
        with postgres.stopped():
            worker = fleet.begin_worker()
            wait_until(lambda: worker.events("the store does not answer"))
        jobs.finish(job_id)
