"""nginx in front of two web processes, as the example for a fleet has it."""

import shutil
import socket
import string
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import http_client
from tests.api.hostile import smuggle
from tests.conftest import miss
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.postgres import PostgresServer
from tests.fleet.s3 import BUCKET, environment, running_store
from tests.jobs.studio import LONG, Studio
from tests.patience import patient
from tests.service import ROOT, free_port, wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

PEER_CONNECTIONS = 20
TEMPLATE = ROOT / "deploy/nginx/atelier.conf.template"


@dataclass(frozen=True)
class Site:
    """What stands behind one address."""

    fleet: Fleet
    jobs: Studio


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Site]:
    """A fleet without a broker: its worker looks into the database."""
    nginx = _nginx()
    folder, database = tmp_path_factory.mktemp("site"), postgres_server.new_database()
    port = free_port()
    with (
        running_store(folder) as store,
        running_fleet(
            folder,
            workers=1,
            variables=environment(store),
            database_url=database,
            blobs_url=f"s3://{BUCKET}/files",
            blobs_public_url=f"http://127.0.0.1:{port}",
        ) as fleet,
    ):
        config = _configured(folder, port, [web.url for web in fleet.webs], store.url)
        process = subprocess.Popen([nginx, "-c", config, "-e", folder / "nginx.log"])
        try:
            with http_client.connect(
                base_url=f"http://127.0.0.1:{port}", timeout=patient(), follow_redirects=True
            ) as client:
                wait_until(lambda: _answers(client))
                yield Site(fleet, Studio(client))
        finally:
            process.terminate()
            process.wait(patient())


def _nginx() -> str:
    found = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if found is None:
        miss("needs nginx, as `apt-get install nginx` brings it")
    return found


def _configured(
    folder: Path, port: int, webs: list[str], store: str, proxy: str = "192.0.2.1"
) -> Path:
    """The example as nginx's image completes it, for this host's addresses and an older nginx."""
    servers = " ".join(f"server {url.removeprefix('http://')};" for url in webs)
    text = string.Template(TEMPLATE.read_text()).safe_substitute(
        ATELIER_WEB=servers,
        ATELIER_STORE=f"server {store.removeprefix('http://')};",
        ATELIER_MAX_BODY="2m",
        ATELIER_PEER_CONNECTIONS=str(PEER_CONNECTIONS),
        ATELIER_PROXY=proxy,
    )
    text = text.replace("resolver 127.0.0.11 valid=5s;", "").replace("8080", f"127.0.0.1:{port}")
    text = text.replace("/atelier-files/", f"/{BUCKET}/")
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; pid {folder}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; "
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; "
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}\n}}"
    )
    return path


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_a_picture_is_classified(site: Site) -> None:
    picture = (ROOT / "docs/examples/ship.jpg").read_bytes()
    answer = site.jobs.client.post("/classify?model=cifar10", files={"file": picture})
    assert answer.json()["predictions"][0]["label"] == "ship"


def test_a_painting_is_asked_for_and_fetched(site: Site) -> None:
    job_id = site.jobs.start()
    site.jobs.finish(job_id)
    fetched = site.jobs.result(job_id)
    assert fetched.history[0].status_code == 307
    assert fetched.url.port == site.jobs.client.base_url.port  # the link leads through nginx
    assert fetched.headers["content-type"] == "image/png"


def test_requests_go_to_all_web_processes(site: Site) -> None:
    for _ in range(8):
        assert site.jobs.client.get("/models").status_code == 200
    served = [
        sum(each["path"] == "/models" for each in web.events("request")) for web in site.fleet.webs
    ]
    assert min(served) > 0


def test_events_go_out_as_they_come(site: Site) -> None:
    job_id = site.jobs.start(**LONG)
    with site.jobs.client.stream("GET", f"/jobs/{job_id}/events") as response:
        events = (line for line in response.iter_lines() if line.startswith("event:"))
        for _ in range(6):
            next(events)
        assert site.jobs.show(job_id)["status"] == "running"
        site.jobs.cancel(job_id)
        assert list(events)[-1] == "event: end"


def test_too_large_body_is_refused_before_it_is_sent(site: Site) -> None:
    body = b"x" * 3_000_000
    assert site.jobs.client.post("/classify?model=mnist", content=body).status_code == 413


def test_metrics_are_not_for_clients(site: Site) -> None:
    assert site.jobs.client.get("/metrics").status_code == 404
    assert http_client.get(f"{site.fleet.webs[0].url}/metrics").status_code == 200


def test_only_signed_links_are_passed_on_and_only_to_read(site: Site) -> None:
    assert site.jobs.client.put(f"/{BUCKET}/mine", content=b"x").status_code == 403


def test_no_body_becomes_a_request(site: Site) -> None:
    port = site.jobs.client.base_url.port
    assert port is not None
    answers = smuggle(lambda: socket.create_connection(("127.0.0.1", port), timeout=patient()))
    assert b"HTTP/1.1 404" in answers
    assert b'"live"' not in answers


def test_requests_of_one_address_at_one_time_are_limited(site: Site) -> None:
    job_id, port = site.jobs.start(**LONG), site.jobs.client.base_url.port
    request = f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answers = []
    with ExitStack() as stack:
        for _ in range(PEER_CONNECTIONS + 5):
            stream = socket.create_connection(("127.0.0.1", port), timeout=patient())
            stack.enter_context(stream).sendall(request)
            answers.append(stream.recv(12))
        other = socket.create_connection(
            ("127.0.0.1", port), timeout=patient(), source_address=("127.0.0.2", 0)
        )
        stack.enter_context(other).sendall(request)
        assert other.recv(12) == b"HTTP/1.1 200"
    assert answers == [b"HTTP/1.1 200"] * PEER_CONNECTIONS + [b"HTTP/1.1 429"] * 5
    wait_until(lambda: site.jobs.client.get("/models").status_code == 200)
    site.jobs.cancel(job_id)


def test_a_web_process_that_dies_is_not_noticed(site: Site) -> None:
    dead = site.fleet.webs[0]
    dead.kill()
    try:
        for _ in range(6):
            assert site.jobs.client.get("/models").status_code == 200
    finally:
        site.fleet.webs.remove(dead)


def test_object_store_receives_no_secret(tmp_path: Path) -> None:
    lines = ["Authorization: Bearer a-key", "Cookie: atelier_session=a-session"]
    head = _passed_on(tmp_path, f"/{BUCKET}/a.png?sign=1", lines)
    assert head.startswith(f"get /{BUCKET}/a.png?sign=1 http/1.1\r\n")
    assert "host: atelier.test:1\r\n" in head  # which the link signs
    assert "a-key" not in head
    assert "a-session" not in head


@pytest.mark.parametrize(
    ("proxy", "client"),
    [("192.0.2.1", "127.0.0.1"), ("127.0.0.1", "203.0.113.9")],
    ids=["of a client", "of a named proxy"],
)
def test_forwarded_addresses_of_a_named_proxy_alone_are_believed(
    tmp_path: Path, proxy: str, client: str
) -> None:
    lines = ["X-Forwarded-For: 198.51.100.7, 203.0.113.9"]
    head = _passed_on(tmp_path, "/models", lines, proxy)
    assert f"x-forwarded-for: {client}\r\n" in head


def _passed_on(folder: Path, path: str, lines: list[str], proxy: str = "192.0.2.1") -> str:
    """Return the head, in small letters, that nginx makes of a request with some headers."""
    nginx, port = _nginx(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(patient())
        url = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        config = _configured(folder, port, [url], url, proxy)
        process = subprocess.Popen([nginx, "-c", config, "-e", folder / "nginx.log"])
        try:
            wait_until(lambda: _listens(port))
            with socket.create_connection(("127.0.0.1", port)) as client:
                head = [f"GET {path} HTTP/1.1", "Host: atelier.test:1", *lines, "", ""]
                client.sendall("\r\n".join(head).encode())
                connection, _ = upstream.accept()
                with connection:
                    return connection.recv(65_536).decode().lower()
        finally:
            process.terminate()
            process.wait(patient())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
