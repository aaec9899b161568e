"""Browser attacks on a service without keys: by other names, and from other pages."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests import http_client
from tests.patience import patient
from tests.service import Service, running_service

ESTIMATE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def named_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is also to be found as studio.example."""
    folder = tmp_path_factory.mktemp("named")
    with running_service(folder, allowed_hosts="studio.example, other.example") as service:
        yield service


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:80", "10.0.0.7"]
)
def test_own_names_and_addresses_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"],
)
@pytest.mark.parametrize("path", ["/", "/models", "/jobs", "/metrics", "/session"])
def test_rebound_host_name_is_refused(client: httpx.Client, host: str, path: str) -> None:
    refused = client.get(path, headers={"Host": host})
    assert (refused.status_code, refused.json()["code"]) == (421, "unknown_host")
    assert "ATELIER_ALLOWED_HOSTS" in refused.json()["detail"]


@pytest.mark.parametrize("host", ["[", "]:1", "a b", "\x7f", "a:b:c", "@", ":80"])
def test_malformed_host_header_is_refused(client: httpx.Client, host: str) -> None:
    assert client.get("/models", headers={"Host": host}).status_code in {200, 400, 421}


def test_health_probes_accept_any_host_name(client: httpx.Client) -> None:
    assert client.get("/health/live", headers={"Host": "pod.internal"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("studio.example", 200), ("STUDIO.example.:443", 200), ("localhost", 200), ("x.example", 421)],
)
def test_the_operator_allows_names(named_service: Service, host: str, status: int) -> None:
    answer = http_client.get(f"{named_service.url}/models", headers={"Host": host})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1:port"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in [("POST", "/classify"), ("POST", "/jobs/x/cancel"), ("DELETE", "/jobs/x")]:
        refused = client.request(method, path, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")


def test_own_page_and_programs_may_change_things(
    client: httpx.Client, named_service: Service
) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in ({}, {"Origin": own}, {"Sec-Fetch-Site": "same-origin"}):
        assert client.post("/stylize/estimate", headers=headers, json=ESTIMATE).status_code == 200
    behind_tls = {"Host": "studio.example", "Origin": "https://studio.example"}
    url = f"{named_service.url}/stylize/estimate"
    assert http_client.post(url, headers=behind_tls, json=ESTIMATE).status_code == 200


@pytest.mark.parametrize(
    "path", ["/models", "/nope", "/openapi.json", "/web/main.js", "/health/live"]
)
def test_every_response_has_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_response_to_malformed_http_has_security_headers(service: Service) -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000):
        with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as connection:
            connection.sendall(sent)
            assert b"x-content-type-options: nosniff" in connection.recv(2000)


def test_responses_for_one_caller_are_not_cached_for_others(client: httpx.Client) -> None:
    assert client.get("/jobs").headers["Cache-Control"] == "no-store"
