"""Bytes that are meant to break the HTTP server itself."""

import socket
import time

import httpx
import pytest

from tests.api.conftest import HEAD_S
from tests.api.hostile import GOOD, assert_still_serves, exchange
from tests.patience import patient
from tests.service import Service


def test_headers_that_never_end_are_cut_off(service: Service, client: httpx.Client) -> None:
    before_bytes = service.resident_bytes()
    with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        endless = b"".join(b"X-%d: %1000d\r\n" % (index, index) for index in range(100_000))
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(endless)
    assert service.resident_bytes() - before_bytes < 50_000_000
    assert_still_serves(client)


def test_trailers_that_never_end_are_cut_off(service: Service, client: httpx.Client) -> None:
    before_bytes = service.resident_bytes()
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    for trailers in (b"a: b\r\n" * 3_000_000, b"a: " + b"b" * 20_000_000):
        with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as connection:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
            with pytest.raises(OSError, match=r"reset|pipe"):
                connection.sendall(trailers)
    assert service.resident_bytes() - before_bytes < 30_000_000
    assert_still_serves(client)


def test_a_head_that_is_too_long_is_a_problem(service: Service) -> None:
    answer = exchange(service, b"GET /" + b"a" * 90_000)
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in answer
    assert b'"code": "head_too_large"' in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nab",
    ],
)
def test_data_that_is_not_http_is_refused_with_a_problem_document(
    service: Service, client: httpx.Client, request_bytes: bytes
) -> None:
    answer = exchange(service, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert b"x-request-id: " in answer
    assert b'"code": "malformed_http"' in answer
    assert_still_serves(client)


def test_malformed_chunk_is_refused(service: Service, client: httpx.Client) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    assert exchange(service, head)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 415"}
    assert_still_serves(client)


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "anything"])
def test_an_offer_of_another_protocol_is_ignored(client: httpx.Client, protocol: str) -> None:
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "HTTP2-Settings": "AA"}
    response = client.post("/classify", files={"file": GOOD}, headers=headers)
    assert response.status_code == 200
    assert client.get("/health/live", headers=headers).status_code == 200


def test_a_silent_connection_is_closed(impatient: Service) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", impatient.port), timeout=patient()) for _ in range(3)
    ]
    silent[1].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n")
    silent[2].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b'{"status":"live"}'):
        answer += silent[2].recv(4096)
    silent[2].sendall(b"\r\n")  # stops uvicorn's own timer
    started = time.monotonic()
    for connection in silent:
        assert connection.recv(4096) == b""
        connection.close()
    assert 0.5 * HEAD_S < time.monotonic() - started < 15 * HEAD_S  # 20 s are the default
