"""Several web processes are one service: whichever answers, limits, keys and jobs are the same."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import httpx
import pytest

from app.keys import entry_for, new_key
from tests import http_client
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.postgres import PostgresServer
from tests.fleet.test_postgres import value
from tests.jobs.studio import picture
from tests.service import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

ANN, BOB = new_key(), new_key()
REQUESTS = 30


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Fleet]:
    """Two web processes with keys and limits, and nobody who works."""
    database = postgres_server.new_database()
    with running_fleet(
        tmp_path_factory.mktemp("webs"),
        workers=0,
        database_url=database,
        api_keys=f"{entry_for('ann', ANN)} {entry_for('bob', BOB)}",
        session_secret="s" * 32,
        max_queued_jobs_per_caller=4,
    ) as running:
        yield running
    postgres_server.drop(database)


@pytest.fixture
def ann(fleet: Fleet) -> Iterator[list[httpx.Client]]:
    clients = [client(web.url, ANN) for web in fleet.webs]
    yield clients
    for each in clients:
        each.close()


def client(url: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return http_client.connect(base_url=url, headers=headers)


def submit(to: httpx.Client, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    data = {"style_name": "mosaic", "size": 64, "quality": "preview", "seed": 1}
    return to.post("/stylize", data=data, files={"content": picture()}, headers=headers)


def clear(ann: list[httpx.Client]) -> None:
    for job in ann[0].get("/jobs").json()["jobs"]:
        ann[0].post(f"/jobs/{job['id']}/cancel")


def test_a_job_is_its_owners_everywhere(fleet: Fleet, ann: list[httpx.Client]) -> None:
    job = submit(ann[0]).json()["links"]["self"]
    assert ann[1].get(job).json()["status"] == "queued"
    with client(fleet.webs[1].url, BOB) as bob:
        assert bob.get(job).status_code == 404
        assert bob.post(f"{job}/cancel").status_code == 404
    assert ann[1].post(f"{job}/cancel").json()["status"] == "cancelled"
    assert ann[0].get(job).json()["status"] == "cancelled"


def test_the_queue_is_as_long_as_one_may_have_it(ann: list[httpx.Client]) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = [each.status_code for each in pool.map(submit, [*ann] * 6)]
    assert (codes.count(202), codes.count(429)) == (4, 8)
    clear(ann)


def test_the_same_request_makes_one_job(ann: list[httpx.Client]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda to: submit(to, "once"), [*ann] * 4))
    assert {each.status_code for each in answers} <= {202, 409}
    assert len({each.json()["id"] for each in answers if each.status_code == 202}) == 1
    assert submit(ann[1], "once").status_code == 202
    clear(ann)


def test_a_browsers_session_holds_at_both(fleet: Fleet) -> None:
    with http_client.connect(base_url=fleet.webs[0].url) as browser:
        assert browser.post("/session", json={"key": ANN}).status_code == 204
        cookies = dict(browser.cookies)
    with http_client.connect(base_url=fleet.webs[1].url, cookies=cookies) as browser:
        assert browser.get("/session").json()["name"] == "ann"
        assert browser.get("/jobs").status_code == 200


@pytest.mark.parametrize("job_id", ["%00", "a%00b", "0" * 31 + "%00"])
def test_an_id_that_the_database_cannot_hold_is_an_unknown_job(
    ann: list[httpx.Client], job_id: str
) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/preview"),
        ("GET", "/result"),
        ("GET", "/files/mistake-01.jpg"),
        ("POST", "/finish"),
        ("POST", "/cancel"),
        ("DELETE", ""),
        ("POST", "/continue"),
    ):
        missing = ann[0].request(method, f"/jobs/{job_id}{path}", json={})
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_job"), path


@pytest.mark.parametrize("name", ["%00", "%FF", "a" * 5000])
def test_impossible_name_is_unknown(ann: list[httpx.Client], name: str) -> None:
    for method, path, status in (
        ("GET", f"/models/{name}", 404),
        ("GET", f"/styles/{name}/image", 404),
        ("GET", f"/web/{name}", 404),
        ("GET", f"/v2/models/{name}", 404),
        ("GET", f"/v2/models/cifar10/versions/{name}", 404),
        ("POST", f"/evaluate?model=cifar10&dataset={name}", 404),
        ("POST", f"/evaluate?model={name}&dataset=x", 404),
        ("POST", f"/classify?model={name}", 404),
        ("GET", f"/jobs?cursor={name}", 422),
    ):
        assert ann[0].request(method, path).status_code == status, path


def test_requests_are_counted_together(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> None:
    database = postgres.new_database()
    folder = tmp_path_factory.mktemp("counted")
    with running_fleet(
        folder, workers=0, database_url=database, max_requests_per_minute=REQUESTS
    ) as fleet:
        turns = cycle(web.url for web in fleet.webs)
        codes = [http_client.get(f"{next(turns)}/models").status_code for _ in range(REQUESTS + 10)]
        assert (codes.count(200), codes.count(429)) == (REQUESTS, 10)
        used = value(database, "SELECT used FROM allowance")
        with postgres.stopped("immediate"):
            # nobody counts meanwhile, and what needs no database goes on
            url = fleet.webs[0].url
            wait_until(lambda: http_client.get(f"{url}/models").status_code == 200)
            refused = http_client.get(f"{url}/jobs")
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert int(refused.headers["retry-after"]) > 0
            assert str(postgres.port) not in refused.text
            assert "127.0.0.1" not in refused.text
            request_id = refused.headers["x-request-id"]
            (logged,) = fleet.events("request refused", request_id=request_id)
            assert str(postgres.port) in str(logged["error"])
        assert value(database, "SELECT used FROM allowance") == used
        wait_until(lambda: http_client.get(f"{url}/models").status_code == 429)
    postgres.drop(database)


def test_keys_without_a_common_secret_are_refused(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> None:
    folder = tmp_path_factory.mktemp("refused")
    keys = entry_for("ann", ANN)
    with (
        pytest.raises(AssertionError, match="ATELIER_SESSION_SECRET"),
        running_fleet(folder, workers=0, webs=1, database_url=postgres_url, api_keys=keys),
    ):
        pass
