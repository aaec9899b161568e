"""JSON bodies that are none, or never end."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.hostile import assert_still_serves, exchange
from tests.service import Service

CONTINUE = f"/jobs/{'0' * 32}/continue"
JSON_PATHS = ["/stylize/estimate", CONTINUE]


@pytest.mark.parametrize("path", JSON_PATHS)
def test_a_json_body_without_end_is_cut_off(
    strict: Service, strict_client: httpx.Client, path: str
) -> None:
    def blanks() -> Iterator[bytes]:
        for _ in range(2000):
            yield b" " * 100_000

    before = strict.resident_bytes()
    headers = {"Content-Type": "application/json"}
    response = strict_client.post(path, content=blanks(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")
    assert strict.resident_bytes() - before < 50_000_000
    assert_still_serves(strict_client)


@pytest.mark.parametrize("path", [*JSON_PATHS, "/session"])
def test_json_body_of_many_members_is_refused(strict_client: httpx.Client, path: str) -> None:
    members = ",".join(f'"{number:x}":0' for number in range(100))
    headers = {"Content-Type": "application/json"}
    response = strict_client.post(path, content=f"{{{members}}}", headers=headers)
    assert response.status_code == 422
    assert "at most 64 members" in response.json()["detail"]


def test_session_body_over_a_kilobyte_is_refused(strict_client: httpx.Client) -> None:
    response = strict_client.post("/session", json={"key": "x" * 1000})
    assert response.status_code == 413


def test_query_of_many_parameters_is_refused(strict_client: httpx.Client) -> None:
    response = strict_client.get("/jobs?" + "&".join(f"{number:x}" for number in range(65)))
    assert response.status_code == 422
    assert "the limit is 64" in response.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_the_first_errors_are_listed(strict_client: httpx.Client, method: str) -> None:
    unknown = {f"{'x' * 50}{number}": 0 for number in range(30)}
    if method == "GET":
        response = strict_client.get("/jobs", params=unknown)
    else:
        response = strict_client.post(CONTINUE, json=unknown)
    document = response.json()
    assert response.status_code == 422
    assert len(document["errors"]) == 20
    assert "and 10 more" in document["detail"]


def test_long_name_of_an_unknown_field_is_cut_short(strict_client: httpx.Client) -> None:
    document = strict_client.post(CONTINUE, json={"x" * 3_000: 0}).json()
    assert document["field"] == "x" * 100
    assert document["errors"][0]["field"] == f"body.{'x' * 95}"
    assert len(document["detail"]) < 300


@pytest.mark.parametrize("path", JSON_PATHS)
def test_stalled_json_body_is_aborted(impatient: Service, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = exchange(impatient, head.encode() + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[" * 4_000, "application/json", 422),
        (b"[]", "application/json; charset=utf-8", 422),
        (b'{"width": 1, "height": 1, "color": 1}', "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
    ],
)
def test_unexpected_json_is_refused_with_a_problem_document(
    strict_client: httpx.Client, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    response = strict_client.post("/stylize/estimate", content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
