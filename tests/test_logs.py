"""JSON logs: every line is JSON, whether Atelier or a library writes it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import http_client
from tests.jobs.studio import LONG, quick_service
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import ROOT, wait_until


@pytest.mark.processes
def test_every_line_of_a_service_is_json(tmp_path: Path) -> None:
    with quick_service(tmp_path) as (service, jobs):
        http_client.post(
            f"{service.url}/classify?model=mnist", files={"file": encode(photograph())}
        )
        job_id = jobs.start(**LONG)
        jobs.wait_for_step(job_id, 5)
        worker = service.worker_pid()
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: service.events("child died"))
        jobs.cancel(job_id)
        log = service.log
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"event", "level", "timestamp"} <= entry.keys() for entry in entries)
    events = {entry["event"] for entry in entries}
    assert {"listening", "request", "worker ready", "job claimed", "child died"} <= events
    assert any("Uvicorn running" in event or "startup complete" in event for event in events)


def test_warnings_and_uncaught_exceptions_are_logged_as_json() -> None:
    code = (
        "import logging, threading, warnings\n"
        "from app.logs import configure_logging\n"
        "configure_logging('info', 'json')\n"
        "warnings.warn('careful')\n"
        "logging.getLogger('uvicorn.error').error('broken', exc_info=ValueError('inner'))\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\n"
        "thread.start(); thread.join()\n"
        "raise KeyError('last')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    warned, logged, thread, last = map(json.loads, result.stderr.splitlines())
    assert "careful" in warned["event"]
    assert logged["exception"][0]["exc_value"] == "inner"
    assert thread["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert last["exception"][0]["exc_type"] == "KeyError"
    assert last["level"] == "critical"


def test_refusal_to_start_is_logged_as_json(tmp_path: Path) -> None:
    given = {"DATA_DIR": str(tmp_path), "DEVICE": "cuda:99", "LOG_FORMAT": "json", "PORT": "0"}
    environment = os.environ | {f"ATELIER_{name}": value for name, value in given.items()}
    result = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )
    assert result.returncode == 2
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]
    assert any("usable CUDA devices" in event for event in events)
    assert any("cannot start" in event for event in events)
