"""Speaks to the service as no honest client does, and looks at it afterwards."""

import re
import socket
from collections.abc import Callable
from contextlib import suppress

import httpx

from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service

GOOD = encode(photograph())


def exchange(service: Service, request: bytes) -> bytes:
    """Send raw bytes and return the answer, or what came of it before the connection ended."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as connection:
        connection.sendall(request)
        answer = b""
        while True:
            received = connection.recv(65_536)
            answer += received
            head, _, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if not received or (length and len(body) >= int(length[1])):
                return answer


def received(connection: socket.socket, until: bytes) -> bytes:
    """Return all bytes up to some that are expected, or to the end of the connection."""
    data = b""
    with suppress(ConnectionResetError):
        while until not in data and (piece := connection.recv(65_536)):
            data += piece
    return data


def raw_head(length: int) -> bytes:
    """The head of a raw image upload of so many bytes."""
    return (
        b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def smuggle(connect: Callable[[], socket.socket]) -> bytes:
    """Try to have the end of a body taken for a request, through a proxy that keeps connections.

    Return all answers; the hidden request asks for `/health/live`.
    """
    hidden = b"\r\n" * 500 + b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    line = b"\r\nUpgrade: " + b"A" * 989 + b"\r\n\r\n"
    first, second = (b"/classify", b"x" * 400_000 + line), (b"/nothing", hidden)
    answers = b""
    for services in (1, 2, 1, 2):  # among which the proxy may divide the requests
        for path, body in [first] * services + [second] * services:
            head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n" % path
            head += b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
            with connect() as connection, suppress(OSError):  # an early answer may end it
                connection.sendall(head + body)
                while piece := connection.recv(65_536):
                    answers += piece
    return answers


def assert_still_serves(client: httpx.Client) -> None:
    assert client.post("/classify", files={"file": GOOD}).status_code == 200
