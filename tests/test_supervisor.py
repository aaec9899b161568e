import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.keys import entry_for
from tests import http_client
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import ROOT, Service, is_running, running_service, wait_until

pytestmark = pytest.mark.processes

GOOD = encode(photograph())


def web_pid(service: Service) -> int:
    pid = service.web_pid()
    assert pid is not None
    return pid


def sockets(pid: int) -> set[str]:
    """The sockets that a process has open."""
    links = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(str(each.readlink()))
    return {each for each in links if each.startswith("socket:")}


def app(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )


def test_a_killed_web_process_is_started_again_and_clients_wait_for_it(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        first = web_pid(service)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not is_running(first))
        response = http_client.post(f"{service.url}/classify", files={"file": GOOD})
        assert response.status_code in {200, 503}  # 503 while the models are being loaded
        wait_until(service.is_ready)
        assert web_pid(service) != first
        assert http_client.post(f"{service.url}/classify", files={"file": GOOD}).status_code == 200
        assert "child died" in service.log.read_text()


def test_a_web_process_that_can_decode_no_more_is_replaced(tmp_path: Path) -> None:
    slow = encode(Image.new("RGB", (6000, 6000)), "JPEG")
    with running_service(tmp_path, decode_threads=1, decode_timeout_s=0.02) as service:
        first = web_pid(service)
        http_client.post(f"{service.url}/classify?model=cifar10", files={"file": slow})
        wait_until(lambda: not is_running(first))
        wait_until(service.is_ready)
        assert web_pid(service) != first
        assert "all decoding threads are lost" in service.log.read_text()


def test_sigterm_ends_everything_and_lets_running_requests_finish(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        child = web_pid(service)
        head = (
            "POST /classify?model=cifar10 HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: image/png\r\nContent-Length: {len(GOOD)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as connection:
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the request runs
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Shutting down" in service.log.read_text())
            connection.sendall(GOOD)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert service.process.wait(patient()) == 0
        assert not is_running(child)


def test_nothing_is_orphaned_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        child = web_pid(service)
        service.process.kill()
        service.process.wait()
        wait_until(lambda: not is_running(child), 30)
        with pytest.raises(httpx.ConnectError):
            http_client.get(f"{service.url}/health/live")


def test_only_the_web_process_has_the_listening_socket(tmp_path: Path) -> None:
    with running_service(tmp_path, workers=1) as service:
        worker = wait_until(service.worker_pid)
        assert worker is not None
        ours = sockets(service.process.pid)
        assert len(ours & sockets(web_pid(service))) == 1
        assert not ours & sockets(worker)


def test_a_second_service_on_the_same_data_directory_refuses(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        second = app("serve", "--port", "0", ATELIER_DATA_DIR=str(tmp_path / "var"))
        assert second.returncode == 2
        assert "another service runs on the data directory" in second.stderr
        assert "ATELIER_DATA_DIR" in second.stderr
        assert service.is_ready()


def test_port_in_use_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = app("serve", "--port", port, ATELIER_DATA_DIR=str(tmp_path))
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "some-host"])  # noqa: S104
@pytest.mark.parametrize("command", ["serve", "web"])
def test_an_address_that_others_reach_needs_keys(tmp_path: Path, host: str, command: str) -> None:
    result = app(command, "--host", host, ATELIER_DATA_DIR=str(tmp_path))
    assert result.returncode == 2
    assert "key new" in result.stderr
    assert "ATELIER_ALLOW_ANONYMOUS" in result.stderr


@pytest.mark.parametrize("with_keys", [True, False])
def test_anonymous_access_can_be_allowed(tmp_path: Path, *, with_keys: bool) -> None:
    way = {"api_keys": entry_for("ann", "key")} if with_keys else {"allow_anonymous": True}
    with running_service(tmp_path, host="0.0.0.0", **way) as service:  # noqa: S104
        status = 401 if with_keys else 200
        url = f"http://127.0.0.1:{service.port}"
        assert http_client.get(f"{url}/jobs").status_code == status
        reload = http_client.post(f"{url}/admin/reload")
        assert reload.status_code == (401 if with_keys else 403)


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    with running_service(tmp_path, restart_s=0.1, longest_restart_s=0.2) as service:
        pid = service.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # which it has already
        os.kill(web_pid(service), signal.SIGKILL)
        wait_until(lambda: service.log.read_text().count("a child process cannot be started") > 1)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        wait_until(service.is_ready)


def test_unusable_data_directory_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = app("serve", "--port", "0", ATELIER_DATA_DIR=str(tmp_path / "file"))
    assert result.returncode == 2
    assert "cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_device_ends_the_service_with_an_explanation(tmp_path: Path) -> None:
    environment = {"ATELIER_DATA_DIR": str(tmp_path), "ATELIER_DEVICE": "cuda:99"}
    result = app("serve", "--port", "0", **environment)
    assert result.returncode == 2
    assert "usable CUDA devices" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_restart_on_the_same_port_works_at_once(tmp_path: Path) -> None:
    with running_service(tmp_path / "first") as service:
        port = service.port
        http_client.get(f"{service.url}/health/live")
    with running_service(tmp_path / "second", port=port) as service:
        assert service.port == port
