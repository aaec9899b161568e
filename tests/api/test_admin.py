import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import http_client
from tests.checkpoints import save_always
from tests.evaluation.archives import zipped
from tests.jobs.studio import QUICK, Job, studio
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import ROOT, Service, running_service, wait_until

pytestmark = pytest.mark.processes

PICTURE = {"file": encode(photograph())}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a checkpoint that sees a 3 in everything."""
    folder = tmp_path / "models"
    save_always(3, folder)
    return folder


@contextmanager
def running(folder: Path, models: Path, engine: str = "exact") -> Iterator[Service]:
    """Run a service, and wait until its engines are selected."""
    with running_service(folder, models_dir=models, log_format="json", engine=engine) as service:
        wait_until(lambda: not http_client.get(f"{service.url}/health/ready").json()["selecting"])
        yield service


def reload(url: str) -> Any:
    response = http_client.post(f"{url}/admin/reload")
    assert response.status_code == 200, response.text
    return response.json()["models"]


def asked(url: str) -> tuple[str, str]:
    """Classify a picture; return the version that answered, and the digit."""
    response = http_client.post(f"{url}/classify?model=mnist&top_k=1", files=PICTURE)
    assert response.status_code == 200, response.text
    answer = response.json()
    return answer["model"]["version"], answer["predictions"][0]["label"]


def shown(url: str) -> str:
    version: str = http_client.get(f"{url}/models/mnist").json()["version"]
    return version


@pytest.mark.parametrize("engine", ["exact", "torch"])
def test_a_changed_checkpoint_is_swapped_under_load_and_no_request_fails(
    tmp_path: Path, models: Path, engine: str
) -> None:
    with running(tmp_path, models, engine=engine) as service:
        three = shown(service.url)
        done = threading.Event()

        def ask_on() -> list[tuple[str, str]]:
            answers = []
            while not done.is_set():
                answers.append(asked(service.url))
            return answers

        with ThreadPoolExecutor(3) as clients:
            asking = [clients.submit(ask_on) for _ in range(3)]
            seven = save_always(7, models).version
            try:
                found = reload(service.url)
                assert shown(service.url) == seven
                assert asked(service.url) == (seven, "7")
            finally:
                done.set()
            answers = [answer for each in asking for answer in each.result()]
        assert found["mnist"] == {"outcome": "reloaded", "version": seven, "reason": None}
        assert found["catdog"]["outcome"] == "missing"
        assert (three, "3") in answers
        assert set(answers) <= {(three, "3"), (seven, "7")}
        assert reload(service.url)["mnist"]["outcome"] == "unchanged"
        counted = http_client.get(f"{service.url}/metrics").text
        for outcome in ("reloaded", "unchanged"):
            line = f'atelier_model_reloads_total{{model="mnist",outcome="{outcome}"}} 1.0'
            assert line in counted


def test_unusable_checkpoint_is_refused_and_the_old_one_is_still_served(
    tmp_path: Path, models: Path
) -> None:
    with running(tmp_path, models) as service:
        three = shown(service.url)
        whole = (models / "mnist.pt").read_bytes()
        (models / "mnist.pt").write_bytes(whole[:-1])
        found = reload(service.url)["mnist"]
        assert (found["outcome"], found["version"]) == ("refused", three)
        assert "does not match the SHA-256" in found["reason"]
        assert f"Version {three} is still served" in found["reason"]
        (models / "mnist.pt").unlink()
        found = reload(service.url)["mnist"]
        assert (found["outcome"], found["version"]) == ("missing", three)
        assert "There is no mnist.pt" in found["reason"]
        assert asked(service.url) == (three, "3")
        (models / "mnist.pt").write_bytes(whole)
        assert reload(service.url)["mnist"]["outcome"] == "unchanged"


def test_a_model_whose_checkpoint_comes_later_becomes_available(
    tmp_path: Path, models: Path
) -> None:
    with running(tmp_path, models) as service:
        assert reload(service.url)["cifar10"]["version"] is None
        for name in ("cifar10.pt", "cifar10.json"):
            (models / name).write_bytes((ROOT / "models" / name).read_bytes())
        version = json.loads((models / "cifar10.json").read_text())["sha256"][:12]
        expected = {"outcome": "reloaded", "version": version, "reason": None}
        assert reload(service.url)["cifar10"] == expected
        assert http_client.get(f"{service.url}/health/ready").json()["models"]["cifar10"] is True


def test_second_reload_at_the_same_time_is_refused_with_retry_after(
    tmp_path: Path, models: Path
) -> None:
    with running(tmp_path, models, engine="torch") as service, ThreadPoolExecutor(1) as first:
        version = save_always(7, models).version
        reloading = first.submit(reload, service.url)
        preparing = wait_until(lambda: service.child_of_web("prepare"))
        assert preparing is not None
        os.kill(preparing, signal.SIGSTOP)
        second = http_client.post(f"{service.url}/admin/reload")
        os.kill(preparing, signal.SIGCONT)
        assert (second.status_code, second.json()["code"]) == (409, "reload_in_progress")
        assert second.headers["Retry-After"] == "5"
        assert reloading.result()["mnist"]["version"] == version


def test_failed_engine_selection_keeps_the_old_engine(tmp_path: Path, models: Path) -> None:
    with running(tmp_path, models, engine="torch") as service, ThreadPoolExecutor(1) as first:
        three = shown(service.url)
        save_always(7, models)
        reloading = first.submit(reload, service.url)
        preparing = wait_until(lambda: service.child_of_web("prepare"))
        assert preparing is not None
        os.kill(preparing, signal.SIGKILL)  # as the kernel does when memory is short
        found = reloading.result()["mnist"]
        assert (found["outcome"], found["version"]) == ("refused", three)
        assert "ended with status -9" in found["reason"]
        assert asked(service.url) == (three, "3")


def test_sighup_to_the_supervisor_reloads(tmp_path: Path, models: Path) -> None:
    with running(tmp_path, models) as service:
        web = service.web_pid()
        version = save_always(7, models).version
        service.process.send_signal(signal.SIGHUP)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: shown(service.url) == version)
        assert asked(service.url) == (version, "7")
        assert service.web_pid() == web


def test_sighup_while_the_web_process_starts_ends_nothing(tmp_path: Path, models: Path) -> None:
    with running(tmp_path, models) as service:
        first = service.web_pid()
        assert first is not None
        version = save_always(7, models).version
        os.kill(first, signal.SIGKILL)
        hangups = 0
        while len(service.events("all models loaded")) < 2:
            service.process.send_signal(signal.SIGHUP)
            hangups += 1
            time.sleep(0.02)
        assert hangups > 1
        assert asked(service.url) == (version, "7")
        assert len(service.events("child died")) == 1


def test_sighup_to_a_web_process_alone_reloads(tmp_path: Path, models: Path) -> None:
    environment = os.environ | {
        "ATELIER_MODELS_DIR": str(models),
        "ATELIER_DATA_DIR": str(tmp_path / "var"),
        "ATELIER_ENGINE": "exact",
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "web", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(Service(process, url, tmp_path / "log").is_ready)
        version = save_always(7, models).version
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: shown(url) == version)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(patient())


def test_worker_evaluates_with_the_reloaded_checkpoint(tmp_path: Path, models: Path) -> None:
    archive = {"file": ("set.zip", zipped([("7/a.png", PICTURE["file"])]))}
    with (
        running_service(tmp_path, **{**QUICK, "models_dir": models}) as service,
        studio(service) as jobs,
    ):

        def evaluated() -> Job:
            return jobs.wait(jobs.client.post("/evaluate?model=mnist", files=archive).json()["id"])

        assert jobs.result(evaluated()["id"]).json()["accuracy"] == 0
        save_always(7, models)
        assert evaluated()["error"]["code"] == "model_replaced"
        reload(service.url)
        assert jobs.result(evaluated()["id"]).json()["accuracy"] == 1


def test_reloading_does_not_leak(tmp_path: Path, models: Path) -> None:
    """Each network holds 2.7 MB."""
    with running(tmp_path, models) as service:
        sizes = []
        for turn in range(24):
            save_always(turn % 10, models)
            assert reload(service.url)["mnist"]["outcome"] == "reloaded"
            asked(service.url)
            sizes.append(service.resident_bytes())
        assert sizes[-1] - sizes[3] < 20_000_000


def test_the_reload_is_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    responses = document["paths"]["/admin/reload"]["post"]["responses"]
    assert {"200", "409"} <= set(responses)
    assert set(responses["409"]["content"]) == {"application/problem+json"}
