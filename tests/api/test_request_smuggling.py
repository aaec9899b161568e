"""No byte of a request's body, or after an offer of another protocol, becomes a request."""

import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress

import pytest

from tests import http_client
from tests.api.conftest import HEAD_S
from tests.api.hostile import GOOD, received
from tests.patience import patient
from tests.service import Service, wait_until

INNER = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MARK = b"process_cpu_seconds_total"  # in the answer to INNER
UPGRADE = b"Connection: upgrade\r\nUpgrade: anything\r\n"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=patient())


def post(path: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """The head of a request with a body."""
    return (
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\n%s\r\n" % (path, len(body), headers)
    )


@pytest.mark.parametrize("name", [b"Upgrade", b"UPGRADE", b"X-Other"])
def test_body_lines_after_an_early_response_are_not_headers(service: Service, name: bytes) -> None:
    body = b"x" * 50 + b"\r\n" + name + b": " + b"A" * 589 + b"\r\n\r\n" + b"y" * 50
    inner = b"\r\n" * 400 + INNER
    with connect(service) as connection:
        connection.sendall(post(b"/classify", body))
        first = received(connection, b"}")
        assert first.startswith(b"HTTP/1.1 415")
        connection.sendall(body)
        connection.sendall(post(b"/nothing-here", inner) + inner)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        rest = received(connection, b'"live"')
    assert rest.startswith(b"HTTP/1.1 404")
    assert rest.endswith(b'{"status":"live"}')
    assert MARK not in rest


@pytest.mark.parametrize(
    "pieces",
    [
        [post(b"/session", INNER, UPGRADE)],
        [post(b"/session", INNER, UPGRADE)[:-25], post(b"/session", INNER, UPGRADE)[-25:]],
        [b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + post(b"/session", INNER, UPGRADE)],
        [post(b"/session", INNER, UPGRADE).replace(b"\r\n", b"\n")],
        [b"CONNECT /session HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(INNER)],
        [b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n"],
    ],
    ids=["whole", "split", "pipelined", "bare LF", "CONNECT", "CONNECT to a host", "no body"],
)
def test_bytes_after_an_upgrade_request_are_not_a_request(
    service: Service, pieces: list[bytes]
) -> None:
    with connect(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [*pieces, INNER]:
            connection.sendall(piece)
            time.sleep(0.05)  # so that each piece is likely to arrive alone
        answers = received(connection, b"}")
        with suppress(OSError):  # the service may have closed the connection
            connection.sendall(INNER)
            answers += received(connection, MARK)
    assert answers.startswith(b"HTTP/1.1 ")
    assert MARK not in answers


@pytest.mark.parametrize("chunked", [False, True])
def test_body_of_an_upgrade_request_is_read(service: Service, *, chunked: bool) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD) if chunked else GOOD
    head = post(b"/classify?model=mnist", GOOD, UPGRADE).replace(b"text/plain", b"image/png")
    if chunked:
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    request = head + body
    with connect(service) as connection:
        for at in range(0, len(request), 100):
            connection.sendall(request[at : at + 100])
        answer = received(connection, MARK)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_after_the_body_of_an_upgrade_request_are_not_part_of_it(
    service: Service, *, chunked: bool
) -> None:
    head, body = post(b"/session", b"   ", UPGRADE), b"   "
    if chunked:
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        body = b"3\r\n   \r\n0\r\n\r\n"
    request = head.replace(b"text/plain", b"application/json") + body
    second = b'{"key":"another"}'
    with connect(service) as connection:
        connection.sendall(request + post(b"/session", second) + second)
        answer = received(connection, b"]}")
    assert b"EOF while parsing a value at line 1 column 3" in answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_with_http2_upgrade_is_answered(service: Service) -> None:
    url = f"{service.url}/classify?model=mnist"
    result = subprocess.run(
        [
            "curl",
            "--silent",
            "--http2",
            "--data-binary",
            "@-",
            "-H",
            "Content-Type: image/png",
            url,
        ],
        input=GOOD,
        capture_output=True,
        check=True,
    )
    assert b'"predictions"' in result.stdout


def test_rest_of_a_body_is_read_for_a_limited_time(
    impatient: Service,
) -> None:
    with connect(impatient) as connection:
        connection.sendall(post(b"/nothing-here", b"x" * 1_000_000))
        assert received(connection, b"}").startswith(b"HTTP/1.1 404")
        started = time.monotonic()

        def is_closed() -> bool:
            try:
                connection.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(is_closed)
    assert time.monotonic() - started > 0.5 * HEAD_S
    assert http_client.get(f"{impatient.url}/health/live").status_code == 200
