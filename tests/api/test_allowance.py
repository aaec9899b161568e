"""What one caller may ask for: in a minute, and to be stored."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.keys import entry_for, new_key
from tests.jobs.studio import QUICK, Studio
from tests.pictures import encode, photograph
from tests.service import Service, running_service, wait_until

KEYS = {name: new_key() for name in ("ann", "bob")}
API_KEYS = " ".join(str(entry_for(name, key)) for name, key in KEYS.items())


def client_of(service: Service, name: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEYS[name]}"}
    return httpx.Client(base_url=service.url, headers=headers, timeout=30)


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
        assert bob.post("/classify?model=mnist", files=large).status_code == 200


def test_what_one_caller_may_store_is_bounded(tmp_path: Path) -> None:
    settings = QUICK | {"max_stored_bytes_per_caller": 400_000, "result_ttl_s": 1000}
    with running_service(tmp_path, **settings, api_keys=API_KEYS) as service:
        wait_until(service.is_measured)
        with client_of(service, "ann") as client, client_of(service, "bob") as other:
            ann, bob = Studio(client), Studio(other)
            done = []
            for _ in range(20):
                response = ann.submit(quality="preview")
                if response.status_code != 202:
                    break
                done.append(ann.wait(response.json()["id"]))
            assert done
            assert (response.status_code, response.json()["code"]) == (429, "quota_exceeded")
            assert 900 < int(response.headers["Retry-After"]) <= 1000
            assert ann.wait(done[0]["id"])["status"] == "succeeded"
            assert bob.submit(quality="preview").status_code == 202
            for job in done:
                assert client.delete(f"/jobs/{job['id']}").status_code == 204
            assert ann.submit(quality="preview").status_code == 202
