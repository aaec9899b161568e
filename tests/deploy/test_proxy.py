"""The proxy of the example encrypts, streams, and bounds what is sent."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.keys import entry_for, new_key
from tests import http_client
from tests.api.hostile import smuggle
from tests.deploy.programs import program
from tests.jobs.studio import LONG, QUICK, Studio
from tests.patience import patient
from tests.service import ROOT, free_port, running_service, wait_until

pytestmark = pytest.mark.deploy

KEY = new_key()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Caddy with its own authority in front of a service that has a key."""
    caddy = program("caddy", package="caddy")
    folder = tmp_path_factory.mktemp("proxy")
    with running_service(folder, **QUICK, api_keys=entry_for("me", KEY)) as service:
        https, http = free_port(), free_port()
        log = (folder / "caddy.log").open("wb")
        domain = f"localhost:{https}"
        process = subprocess.Popen(
            [caddy, "run", "--config", _with_ports(folder, https, http), "--adapter", "caddyfile"],
            env={
                "ATELIER_DOMAIN": domain,
                "ATELIER_UPSTREAM": service.url.removeprefix("http://"),
                "ATELIER_MAX_BODY": "2MB",
                "HOME": str(folder),
                "XDG_DATA_HOME": str(folder),
            },
            stderr=log,
        )
        try:
            authority = folder / "caddy/pki/authorities/local/root.crt"
            wait_until(authority.exists)
            url, trust = f"https://{domain}", ssl.create_default_context(cafile=str(authority))
            wait_until(lambda: _is_ready(url, trust))
            yield url, trust
        finally:
            process.terminate()
            process.wait(patient())
            log.close()


@pytest.fixture
def proxied(site: tuple[str, ssl.SSLContext]) -> Iterator[httpx.Client]:
    """A client of the service that comes through the proxy, with its key."""
    url, trust = site
    bearer = {"Authorization": f"Bearer {KEY}"}
    with http_client.connect(base_url=url, headers=bearer, verify=trust) as opened:
        yield opened


def test_answers_come_through(proxied: httpx.Client) -> None:
    answer = proxied.post(
        "/classify?model=cifar10",
        content=(ROOT / "docs/examples/ship.jpg").read_bytes(),
        headers={"Content-Type": "image/jpeg"},
    )
    assert answer.json()["predictions"][0]["label"] == "ship"
    assert "max-age" in answer.headers["strict-transport-security"]


def test_a_session_is_for_tls_only(site: tuple[str, ssl.SSLContext]) -> None:
    url, trust = site
    with http_client.connect(base_url=url, verify=trust) as browser:
        assert browser.get("/models").status_code == 401
        answer = browser.post("/session", json={"key": KEY}, headers={"Origin": url})
        assert answer.status_code == 204
        assert "; secure" in answer.headers["set-cookie"].lower()
        assert browser.get("/models").status_code == 200


def test_no_body_becomes_a_request(site: tuple[str, ssl.SSLContext]) -> None:
    url, trust = site
    port = int(url.rpartition(":")[2])

    def connect() -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=patient())
        return trust.wrap_socket(plain, server_hostname="localhost")

    answers = smuggle(connect)
    assert b"HTTP/1.1 40" in answers
    assert b'"live"' not in answers


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics"])
def test_metrics_stay_inside(proxied: httpx.Client, path: str) -> None:
    answer = proxied.get(path)
    assert answer.status_code == 404
    assert "x-request-id" not in answer.headers


def test_events_are_not_held_back(proxied: httpx.Client) -> None:
    studio = Studio(proxied)
    job_id = studio.start(**LONG)
    with proxied.stream("GET", f"/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = (line for line in stream.iter_lines() if line.startswith("event: "))
        for _ in range(6):
            next(events)
        assert studio.show(job_id)["status"] == "running"
        studio.cancel(job_id)
        assert list(events)[-1] == "event: end"


def test_proxy_refuses_bodies_that_are_far_too_large(proxied: httpx.Client) -> None:
    pieces = (bytes(100_000) for _ in range(30))
    answer = proxied.post("/evaluate?model=mnist", files={"file": b"".join(pieces)})
    assert answer.status_code in {413, 502}  # the latter from a Caddy before 2.7
    assert "x-request-id" not in answer.headers


def test_idle_connections_to_the_service_are_closed_before_it_closes_them() -> None:
    caddyfile = ROOT / "deploy/Caddyfile"
    adapted = subprocess.run(
        [program("caddy", package="caddy"), "adapt", "--config", caddyfile],
        env={"ATELIER_DOMAIN": "localhost"},
        check=True,
        capture_output=True,
        text=True,
    )
    idle = re.findall(r'"idle_timeout":(\d+)', adapted.stdout.partition('"transport":')[2])
    assert [int(nanoseconds) / 1e9 for nanoseconds in idle] == [3.0]  # uvicorn closes after 5 s


def _with_ports(folder: Path, https: int, http: int) -> Path:
    """The Caddyfile, on ports that are free, without an administrator's port."""
    text = (ROOT / "deploy/Caddyfile").read_text()
    begin = "\n{\n"
    assert text.count(begin) == 1
    options = f"\thttps_port {https}\n\thttp_port {http}\n\tadmin off\n\tskip_install_trust\n"
    changed = folder / "Caddyfile"
    changed.write_text(text.replace(begin, begin + options))
    return changed


def _is_ready(url: str, trust: ssl.SSLContext) -> bool:
    try:
        return http_client.get(f"{url}/health/ready", verify=trust).status_code == 200
    except httpx.TransportError:
        return False
