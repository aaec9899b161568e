"""What one caller may ask for: in a minute, and to be stored."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from app.keys import entry_for, new_key
from tests import http_client
from tests.api.hostile import received
from tests.jobs.studio import QUICK, Studio
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service, running_service

pytestmark = pytest.mark.processes

KEYS = {name: new_key() for name in ("ann", "bob")}
API_KEYS = " ".join(str(entry_for(name, key)) for name, key in KEYS.items())


def client_of(service: Service, name: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEYS[name]}"}
    return http_client.connect(base_url=service.url, headers=headers)


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Service]:
    limits = {"max_requests_per_minute": 5, "max_pixels_per_minute": 10_000}
    with running_service(tmp_path, api_keys=API_KEYS, **limits) as service:
        yield service


def test_too_many_requests_of_one_caller_wait_for_the_next_minute(hurried: Service) -> None:
    with client_of(hurried, "ann") as ann, client_of(hurried, "bob") as bob:
        assert [ann.get("/models").status_code for _ in range(5)] == [200] * 5
        refused = ann.get("/models")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert "requests" in refused.json()["detail"]
        assert bob.get("/models").status_code == 200
        assert ann.get("/health/live").status_code == 200
        assert ann.get("/").status_code == 200


def test_too_many_pixels_of_one_caller_wait_for_the_next_minute(hurried: Service) -> None:
    large = {"file": encode(photograph(120, 100))}
    with client_of(hurried, "ann") as ann, client_of(hurried, "bob") as bob:
        assert ann.post("/classify?model=mnist", files=large).status_code == 200
        refused = ann.post("/classify?model=mnist", files=large)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert "pixels" in refused.json()["detail"]
        assert ann.post("/stylize", files={"content": large["file"]}).status_code == 429
        raw = {"Inference-Header-Content-Length": "0"}
        again = ann.post("/v2/models/mnist/infer", content=large["file"], headers=raw)
        assert again.status_code == 429
        assert "pixels" in again.json()["error"]
        assert 0 < int(again.headers["Retry-After"]) <= 60
        assert bob.post("/v2/models/mnist/infer", content=b"", headers=raw).status_code == 422
        assert ann.get("/jobs").status_code == 200
        assert bob.post("/classify?model=mnist", files=large).status_code == 200


def test_too_many_submissions_of_one_caller_wait_for_the_next_minute(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, api_keys=API_KEYS, max_submissions_per_minute=3) as service,
        client_of(service, "ann") as ann,
        client_of(service, "bob") as bob,
    ):
        made = [Studio(ann).submit() for _ in range(2)]
        assert [each.status_code for each in made] == [202] * 2
        assert ann.post("/evaluate?model=mnist").status_code == 422
        refused = Studio(ann).submit()
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert "3 submissions" in refused.json()["detail"]
        again = ann.post(f"/jobs/{made[0].json()['id']}/continue", json={})
        assert again.status_code == 429
        assert ann.get("/jobs").status_code == 200
        assert Studio(bob).submit().status_code == 202


def test_broken_image_counts_towards_the_pixel_limit(hurried: Service) -> None:
    broken = {"file": encode(photograph(400, 300), "JPEG")[:-2000]}
    with client_of(hurried, "ann") as ann:
        assert ann.post("/classify?model=mnist", files=broken).status_code == 422
        assert ann.post("/classify?model=mnist", files=broken).status_code == 429


def test_one_caller_sends_a_few_archives_at_a_time(tmp_path: Path) -> None:
    with running_service(tmp_path, api_keys=API_KEYS) as service:
        headers = {"Authorization": f"Bearer {KEYS['ann']}", "Content-Type": "application/zip"}
        head = "POST /evaluate?model=mnist HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with ExitStack() as stack:
            sending = []
            for _ in range(5):
                slow = socket.create_connection(("127.0.0.1", service.port), timeout=patient())
                stack.enter_context(slow).sendall(f"{head}\r\nPK".encode())
                sending.append(slow)
            (refused,), _, _ = select.select(sending, [], [], patient())  # while four go on
            answer = received(refused, b"}")
            assert answer.startswith(b"HTTP/1.1 429")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "quota_exceeded"
            other = {**headers, "Authorization": f"Bearer {KEYS['bob']}"}
            url = f"{service.url}/evaluate?model=mnist"
            assert http_client.post(url, headers=other, content=b"PK").status_code == 422


def test_files_that_never_fit_are_too_large(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, api_keys=API_KEYS, max_stored_bytes_per_caller=1000) as service,
        client_of(service, "ann") as client,
    ):
        refused = Studio(client).submit()
        assert (refused.status_code, refused.json()["code"]) == (413, "files_too_large")


def test_stored_bytes_of_one_caller_are_limited(tmp_path: Path) -> None:
    settings = QUICK | {"max_stored_bytes_per_caller": 400_000, "result_ttl_s": 1000}
    with (
        running_service(tmp_path, **settings, api_keys=API_KEYS) as service,
        client_of(service, "ann") as client,
        client_of(service, "bob") as other,
    ):
        ann, bob = Studio(client), Studio(other)
        done = []
        for _ in range(20):
            response = ann.submit()
            if response.status_code != 202:
                break
            done.append(ann.finish(response.json()["id"]))
        assert done
        assert (response.status_code, response.json()["code"]) == (429, "quota_exceeded")
        assert 900 < int(response.headers["Retry-After"]) <= 1000
        assert ann.wait(done[0]["id"])["status"] == "succeeded"
        assert bob.submit().status_code == 202
        for job in done:
            assert client.delete(f"/jobs/{job['id']}").status_code == 204
        assert ann.submit().status_code == 202
