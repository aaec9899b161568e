"""A service with keys: who gets in, and what belongs to whom."""

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.auth.identity import SecretError, kept_secret
from app.keys import entry_for, new_key
from tests import http_client
from tests.jobs.studio import QUICK, Studio
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service, running_service, wait_until

KEYS = {name: new_key() for name in ("ann", "bob")}
API_KEYS = " ".join(str(entry_for(name, key)) for name, key in KEYS.items())
CLOSED = [
    ("POST", "/classify"),
    ("POST", "/evaluate"),
    ("POST", "/stylize"),
    ("POST", "/stylize/estimate"),
    ("GET", "/jobs"),
    ("GET", "/jobs/x"),
    ("GET", "/jobs/x/events"),
    ("DELETE", "/jobs/x"),
    ("GET", "/models"),
    ("GET", "/styles"),
    ("GET", "/datasets"),
    ("GET", "/metrics"),
    ("GET", "/no/such/path"),
]


@dataclass(frozen=True)
class Keyed:
    """A service with keys."""

    service: Service

    def client(self, name: str | None = None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {KEYS[name]}"} if name else {}
        return http_client.connect(base_url=self.service.url, headers=headers, **options)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    with running_service(folder, **QUICK, api_keys=API_KEYS, admins="ann") as service:
        yield Keyed(service)


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "key_required"),
        ({"Authorization": "Bearer wrong"}, "unknown_key"),
        ({"Authorization": "Bearer"}, "unknown_key"),
        ({"Authorization": "Bearer \xe9"}, "unknown_key"),
        ({"Authorization": "Basic YTpi"}, "key_required"),
        ({"Authorization": "Basic YTpi", "Cookie": "atelier_session=x"}, "unknown_key"),
        ({"Cookie": "atelier_session=forged.a.b"}, "unknown_key"),
        ({"Cookie": "atelier_session="}, "unknown_key"),
    ],
)
def test_closed_paths_need_a_key(
    keyed: Keyed, method: str, path: str, headers: dict[str, str], code: str
) -> None:
    with keyed.client() as client:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        refused = client.request(method, path, headers=raw)
    assert (refused.status_code, refused.json()["code"]) == (401, code)
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/web/main.js",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/v2/health/live",
        "/v2/health/ready",
    ],
)
def test_open_paths_need_no_key(keyed: Keyed, path: str) -> None:
    with keyed.client() as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2"),
        ("GET", "/v2/models/mnist"),
        ("GET", "/v2/models/mnist/ready"),
        ("POST", "/v2/models/mnist/infer"),
        ("GET", "/v2/no/such/path"),
    ],
)
def test_inference_protocol_without_a_key_is_refused_in_its_own_form(
    keyed: Keyed, method: str, path: str
) -> None:
    with keyed.client() as client:
        refused = client.request(method, path)
    assert refused.status_code == 401
    assert refused.json() == {"error": "Send a key: `Authorization: Bearer KEY`."}
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_with_a_key_everything_works(keyed: Keyed) -> None:
    with keyed.client("ann") as client:
        answer = client.post("/classify?model=mnist", files={"file": encode(photograph())})
        assert answer.status_code == 200
        assert client.get("/metrics").status_code == 200
        assert client.get("/v2/models/mnist").json()["name"] == "mnist"
        assert client.get("/session").json() == {"required": True, "name": "ann"}


def test_jobs_belong_to_the_key_that_created_them(keyed: Keyed) -> None:
    with keyed.client("ann") as client, keyed.client("bob") as other:
        ann, bob = Studio(client), Studio(other)
        job = ann.paint()
        assert job["status"] == "succeeded"
        path = f"/jobs/{job['id']}"
        for method, suffix in [
            ("GET", ""),
            ("GET", "/events"),
            ("GET", "/preview"),
            ("GET", "/result"),
            ("GET", "/files/x"),
            ("POST", "/finish"),
            ("POST", "/cancel"),
            ("POST", "/continue"),
            ("DELETE", ""),
        ]:
            body = {"size": 96} if suffix == "/continue" else None
            hidden = other.request(method, path + suffix, json=body)
            assert (hidden.status_code, hidden.json()["code"]) == (404, "unknown_job"), suffix
        listed = [[each["id"] for each in c.get("/jobs").json()["jobs"]] for c in (client, other)]
        assert job["id"] in listed[0]
        assert job["id"] not in listed[1]
        assert client.get(f"{path}/result").status_code == 200
        bob.paint()


def test_idempotency_keys_of_two_callers_are_independent(keyed: Keyed) -> None:
    with keyed.client("ann") as client, keyed.client("bob") as other:
        headers = {"Idempotency-Key": "same"}
        made = [Studio(each).submit(headers).json()["id"] for each in (client, client, other)]
        Studio(client).finish(made[0])
        Studio(other).finish(made[2])
    assert made[0] == made[1] != made[2]


def test_a_browser_exchanges_its_key_for_a_cookie(keyed: Keyed) -> None:
    with keyed.client() as browser:
        opened = browser.post("/session", json={"key": KEYS["bob"]})
        assert opened.status_code == 204
        cookie = opened.headers["Set-Cookie"]
        for word in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert word in cookie
        assert "Secure" not in cookie
        assert KEYS["bob"] not in cookie
        assert browser.get("/session").json() == {"required": True, "name": "bob"}
        studio = Studio(browser)
        job = studio.paint()
        assert browser.get(f"/jobs/{job['id']}/events").status_code == 200
        stolen = {"Origin": "http://evil.example"}
        assert browser.post(f"/jobs/{job['id']}/cancel", headers=stolen).status_code == 403
        ended = browser.delete("/session")
        assert ended.status_code == 204
        assert "storage" in ended.headers["Clear-Site-Data"]
        assert browser.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "https"},
        {"Host": "studio.example", "Origin": "https://studio.example"},
    ],
)
def test_cookie_is_secure_if_the_proxy_uses_tls(keyed: Keyed, headers: dict[str, str]) -> None:
    with keyed.client() as browser:
        opened = browser.post("/session", json={"key": KEYS["bob"]}, headers=headers)
    assert "Secure" in opened.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"key": "wrong"}', 401),
        ('{"key": ""}', 401),
        ('{"key": "\\ud800"}', 422),
        ('{"key": 7}', 422),
        ("{}", 422),
        (f'{{"key": "{"x" * 201}"}}', 422),
        ('{"key": "x", "more": 1}', 422),
    ],
)
def test_invalid_keys_open_no_session(keyed: Keyed, body: str, status: int) -> None:
    with keyed.client() as browser:
        headers = {"Content-Type": "application/json"}
        refused = browser.post("/session", content=body, headers=headers)
    assert refused.status_code == status
    assert "Set-Cookie" not in refused.headers


def test_no_key_is_ever_logged(keyed: Keyed) -> None:
    with keyed.client() as client:
        for key in KEYS.values():
            client.post("/session", json={"key": key})
            client.post("/session", json={"key": [key]})
            client.post("/session", content=f'{{"key": "{key}"')
            client.get("/jobs", headers={"Authorization": f"Bearer {key}"})
            client.get("/jobs", headers={"Authorization": f"Bearer {key}x"})
            client.get("/jobs", headers={"Authorization": key})
            client.get(f"/jobs?limit={key}", headers={"Authorization": f"Bearer {key}"})
        client.get("/models/last", headers={"Authorization": f"Bearer {KEYS['ann']}"})
    log = keyed.service.log
    wait_until(lambda: "/models/last" in log.read_text())
    assert not [key for key in KEYS.values() if key in log.read_text()]
    assert '"caller": "ann"' in log.read_text()


def test_a_gateway_may_have_a_password_of_its_own(keyed: Keyed) -> None:
    with keyed.client() as browser:
        browser.post("/session", json={"key": KEYS["bob"]})
        assert browser.get("/jobs", headers={"Authorization": "Basic YTpi"}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"\xff\xfe" * 40, "\N{SNOWMAN}".encode() * 40])
def test_damaged_session_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "session-secret").write_bytes(content)
    with pytest.raises(SecretError, match="delete it"):
        kept_secret(tmp_path)
    (tmp_path / "session-secret").unlink()
    secret = kept_secret(tmp_path)
    assert secret == kept_secret(tmp_path)
    assert (tmp_path / "session-secret").stat().st_mode & 0o777 == 0o600


def test_session_secret_is_shared_by_processes_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    together = threading.Barrier(16)

    def ask(_: int) -> str:
        together.wait()
        return kept_secret(tmp_path)

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(ask, range(16)))) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["session-secret"]


def test_only_administrators_reload_the_models(keyed: Keyed) -> None:
    with keyed.client("ann") as admin, keyed.client("bob") as other, keyed.client() as nobody:
        assert admin.post("/admin/reload").status_code == 200
        refused = other.post("/admin/reload")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_admin")
        assert nobody.post("/admin/reload").status_code == 401


@pytest.mark.processes
def test_a_session_outlives_a_restart_but_not_its_key(tmp_path: Path) -> None:
    with running_service(tmp_path, api_keys=API_KEYS) as service:
        answer = http_client.post(f"{service.url}/session", json={"key": KEYS["bob"]})
        cookies = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert http_client.get(f"{service.url}/jobs", headers=cookies).status_code == 200
    with running_service(tmp_path, api_keys=API_KEYS) as service:
        assert http_client.get(f"{service.url}/jobs", headers=cookies).status_code == 200
    with running_service(tmp_path, api_keys=entry_for("bob", new_key())) as service:
        refused = http_client.get(f"{service.url}/jobs", headers=cookies)
        assert (refused.status_code, refused.json()["code"]) == (401, "unknown_key")


@pytest.mark.processes
def test_a_session_ends_with_its_time(tmp_path: Path) -> None:
    with running_service(tmp_path, api_keys=API_KEYS, session_ttl_s=ceil(patient(3))) as service:
        answer = http_client.post(f"{service.url}/session", json={"key": KEYS["bob"]})
        cookies = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}

        def status() -> int:
            return http_client.get(f"{service.url}/jobs", headers=cookies).status_code

        assert status() == 200
        wait_until(lambda: status() == 401)
        refused = http_client.get(f"{service.url}/jobs", headers=cookies)
        assert refused.json()["code"] == "unknown_key"


@pytest.mark.parametrize(
    ("setting", "with_key", "without"), [("open", 200, 200), ("keys", 200, 401), ("off", 404, 401)]
)
@pytest.mark.processes
def test_setting_decides_access_to_the_metrics(
    tmp_path: Path, setting: str, with_key: int, without: int
) -> None:
    with running_service(tmp_path, api_keys=API_KEYS, metrics=setting) as service:
        url, headers = f"{service.url}/metrics", {"Authorization": f"Bearer {KEYS['ann']}"}
        assert http_client.get(url, headers=headers).status_code == with_key
        assert http_client.get(url).status_code == without
