"""The image's own commands install it and start it, for a user without rights."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import http_client
from tests.deploy.compose import services
from tests.deploy.containers import Running, is_healthy, new_volume, placed, running
from tests.deploy.image import Image
from tests.service import ROOT, wait_until

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800)]

EXAMPLES = ROOT / "docs/examples"
CLEAN = {0, -signal.SIGTERM}  # uvicorn ends by the signal that it was sent, after all else


@pytest.fixture
def address() -> tuple[str, int]:
    """A URL that nobody listens on, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}", port


def test_one_container_classifies_and_ends_cleanly(
    image: Image, address: tuple[str, int], tmp_path: Path
) -> None:
    url, port = address
    service = services()["web"] | {"command": image.start["CMD"][0]}
    container = placed(image, service, new_volume(image, tmp_path / "data"), ATELIER_PORT=port)
    with running(image, container, service, tmp_path / "log") as started:
        wait_until(lambda: _is_up(started) and is_healthy(image, container), 300)
        found = http_client.post(
            f"{url}/classify?model=cifar10", files={"file": (EXAMPLES / "ship.jpg").read_bytes()}
        ).json()
        assert found["predictions"][0]["label"] == "ship"
        assert all(http_client.get(f"{url}/health/ready").json()["models"].values())
        assert_harmless(started)
        assert started.stop() in CLEAN
    assert not is_healthy(image, container)
    assert not (tmp_path / "data/intel").exists()  # where OpenVINO would note whom it reports on
    assert_untroubled(tmp_path / "log")


def test_web_and_worker_come_in_any_order_and_survive_restarts(
    image: Image, address: tuple[str, int], tmp_path: Path
) -> None:
    url, port = address
    found, volume = services(), new_volume(image, tmp_path / "data")
    quick = {"ATELIER_PORT": port, "ATELIER_ENGINE": "exact"}

    def start(name: str) -> Any:
        container = placed(image, found[name], volume, **quick)
        return running(image, container, found[name], tmp_path / name)

    def status(job: str) -> str:
        return str(http_client.get(url + job).json()["status"])

    with start("worker") as worker:
        wait_until(lambda: _is_up(worker) and "measured" in worker.log.read_text(), 300)
        with start("web") as web:
            wait_until(lambda: _is_up(web) and _workers(url), 180)
            assert_harmless(web)
            assert_harmless(worker)
            job = _paint(url)
            wait_until(lambda: http_client.get(url + job).json()["progress"])
            assert worker.stop() == 0
            assert status(job) == "queued"
            os.kill(web.process.pid, signal.SIGKILL)
            web.process.wait()
    with start("web") as web:
        wait_until(lambda: _is_up(web) and _is_ready(url), 180)
        assert status(job) == "queued"
        with start("worker") as worker:
            http_client.post(f"{url}{job}/finish")
            wait_until(lambda: _is_up(worker) and status(job) == "succeeded", 300)
            assert http_client.get(f"{url}{job}/result").headers["content-type"] == "image/png"
            assert worker.stop() == 0
        assert web.stop() in CLEAN
    for name in ("web", "worker"):
        assert_untroubled(tmp_path / name)


def test_behind_the_proxy_only_a_key_opens(
    image: Image, address: tuple[str, int], tmp_path: Path
) -> None:
    url, port = address
    made = said(image, "key", "new", "me")
    (key,), (entry,) = re.findall(r"\batelier_\S+", made), re.findall(r"\bme:\w+", made)
    service = services(
        "deploy/docker-compose.tls.yml", ATELIER_DOMAIN="atelier.example", ATELIER_API_KEYS=entry
    )["web"]
    volume = new_volume(image, tmp_path / "data")
    container = placed(image, service, volume, ATELIER_PORT=port, ATELIER_ENGINE="exact")
    named = {"Host": "atelier.example"}
    bearer = {"Authorization": f"Bearer {key}"}
    with running(image, container, service, tmp_path / "log") as web:
        wait_until(lambda: _is_up(web) and is_healthy(image, container), 300)
        assert http_client.get(f"{url}/models", headers=named).status_code == 401
        assert http_client.get(f"{url}/models", headers=named | bearer).status_code == 200
        assert http_client.get(f"{url}/metrics", headers=named).status_code == 401
        other = http_client.get(f"{url}/models", headers=bearer | {"Host": "elsewhere.example"})
        assert 400 <= other.status_code < 500
        assert web.stop() in CLEAN
    assert_untroubled(tmp_path / "log")


def said(image: Image, *command: str) -> str:
    """Return what a command of the image prints."""
    words = image.root.command(image.container({}), [*image.start["ENTRYPOINT"], *command])
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def assert_harmless(process: Running) -> None:
    """It is nobody, may do nothing special, and writes to its volume and to tmpfs only."""
    status = process.status()
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert status["Groups"] == ""
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert process.writable() == {"/data", "/tmp", "/dev/shm"}  # noqa: S108 - of the container


def assert_untroubled(log: Path) -> None:
    text = log.read_text()
    assert "Read-only file system" not in text
    assert "Permission denied" not in text
    assert "Traceback" not in text


def _paint(url: str) -> str:
    answer = http_client.post(
        f"{url}/stylize",
        files={"content": (EXAMPLES / "cat.jpg").read_bytes()},
        data={"style_name": "stained-glass", "size": "192", "quality": "high"},
    )
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def _is_up(started: Running) -> bool:
    assert started.process.poll() is None, started.log.read_text()
    return True


def _is_ready(url: str) -> bool:
    try:
        return http_client.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def _workers(url: str) -> list[Any]:
    if not _is_ready(url):
        return []
    found: list[Any] = http_client.get(f"{url}/health/ready").json()["workers"]
    return found
