"""Uploads that are malformed, too large or never end."""

import select
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests import http_client
from tests.api.conftest import STALL_S
from tests.api.hostile import GOOD, assert_still_serves, exchange, raw_head
from tests.patience import patient
from tests.service import Service


def multipart(*parts: bytes, boundary: bytes = b"B") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + (
        b"--" + boundary + b"--\r\n"
    )


def part(disposition: bytes, data: bytes = GOOD) -> bytes:
    return b"Content-Disposition: form-data" + disposition + b"\r\n\r\n" + data


def post(client: httpx.Client, body: bytes, content_type: str) -> httpx.Response:
    return client.post("/classify", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (multipart(part(b'; name="file"')), "multipart/form-data", 422, "malformed_upload"),
        (
            multipart(part(b'; name="file"')),
            "multipart/form-data; boundary=other",
            422,
            "malformed_upload",
        ),
        (
            multipart(part(b'; name="file"')),
            f"multipart/form-data; boundary={'b' * 5000}",
            422,
            "malformed_upload",
        ),
        (
            multipart(part(b'; name="file"'))[:-10],
            "multipart/form-data; boundary=B",
            422,
            "malformed_upload",
        ),
        (multipart(), "multipart/form-data; boundary=B", 422, "malformed_upload"),
        (b"", "multipart/form-data; boundary=B", 422, "malformed_upload"),
        (multipart(part(b"")), "multipart/form-data; boundary=B", 422, "malformed_upload"),
        (
            multipart(part(b'; name="photo"')),
            "multipart/form-data; boundary=B",
            422,
            "malformed_upload",
        ),
        (
            multipart(part(b'; name="file"'), part(b'; name="top_k"', b"3")),
            "multipart/form-data; boundary=B",
            422,
            "malformed_upload",
        ),
        (
            multipart(b"X: " + b"y" * 20_000 + b"\r\n\r\n"),
            "multipart/form-data; boundary=B",
            422,
            "malformed_upload",
        ),
        (
            multipart(b"X: y\r\n" * 1000 + b"\r\n"),
            "multipart/form-data; boundary=B",
            422,
            "malformed_upload",
        ),
        (GOOD, "application/json", 415, "unsupported_media_type"),
        (GOOD, "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (GOOD, "", 415, "unsupported_media_type"),
        (GOOD, "\udcff".encode(errors="surrogateescape").decode("latin-1"), 415, "unsupported_"),
        (b"", "image/png", 422, "undecodable_image"),
    ],
)
def test_a_malformed_upload_says_what_is_wrong(
    client: httpx.Client, body: bytes, content_type: str, status: int, code: str
) -> None:
    headers = {b"Content-Type": content_type.encode("latin-1")}
    response = client.post("/classify", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert response.json()["code"].startswith(code)
    assert_still_serves(client)


@pytest.mark.parametrize(
    "filename",
    [b"../../etc/passwd", b"a\\0b", b"caf\xc3\xa9.png", b"\xff\xfe", b"x" * 2000, b"<b>.png", b""],
)
def test_strange_file_name_is_returned_unchanged(client: httpx.Client, filename: bytes) -> None:
    named = part(b'; name="file"; filename="' + filename + b'"')
    body = multipart(named, part(b'; name="file"'))
    response = post(client, body, "multipart/form-data; boundary=B")
    assert response.status_code == 200
    first, second = response.json()["results"]
    assert first["predictions"] == second["predictions"]
    assert second["filename"] is None


def test_a_line_break_in_a_file_name_is_malformed_or_harmless(client: httpx.Client) -> None:
    body = multipart(part(b'; name="file"; filename="a\r\nX-Evil: 1"'))
    response = post(client, body, "multipart/form-data; boundary=B")
    assert response.status_code in {200, 422}
    assert "X-Evil" not in response.headers


def test_an_image_over_the_limit_is_refused_alone(strict_client: httpx.Client) -> None:
    response = strict_client.post(
        "/classify", files={"file": b"\x89PNG\r\n\x1a\n" + b"x" * 100_000}
    )
    assert (response.status_code, response.json()["code"]) == (413, "image_too_large")
    assert "the limit is 100,000" in response.json()["detail"]
    files = [("file", b"\xff\xd8\xff" + b"x" * 150_000), ("file", GOOD)]
    large, good = strict_client.post("/classify", files=files).json()["results"]
    assert large["error"]["code"] == "image_too_large"
    assert good["predictions"]


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=B"])
def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(
    strict: Service, content_type: str
) -> None:
    head = (
        f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        "Content-Length: 999999999999\r\n\r\n"
    )
    answer = exchange(strict, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"limit of 300,000 bytes" in answer


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=B"])
def test_an_endless_body_of_undeclared_length_is_cut_off(
    strict_client: httpx.Client, strict: Service, content_type: str
) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        for _ in range(2000):
            sent += 10_000
            yield b"x" * 10_000

    before_bytes = strict.resident_bytes()
    response = strict_client.post(
        "/classify", content=endless(), headers={"Content-Type": content_type}
    )
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")
    assert strict.resident_bytes() - before_bytes < 50_000_000
    assert_still_serves(strict_client)


def test_a_thousand_parts_are_refused(client: httpx.Client) -> None:
    files = [("file", b"x") for _ in range(1000)]
    response = client.post("/classify", files=files)
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")
    assert "too many files; the limit is 64" in response.json()["detail"]
    assert_still_serves(client)


def test_stalled_upload_is_aborted(impatient: Service) -> None:
    head = raw_head(99)
    started = time.monotonic()
    answer = exchange(impatient, head + b"abc")
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started > 0.9 * STALL_S
    with http_client.connect(base_url=impatient.url) as client:
        assert_still_serves(client)


def test_slow_upload_is_aborted_even_if_it_never_stalls(impatient: Service) -> None:
    head = raw_head(999)
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=patient()) as connection:
        connection.sendall(head)
        started = time.monotonic()
        while not select.select([connection], [], [], STALL_S / 5)[0]:
            connection.sendall(b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started > 0.9 * STALL_S  # or UPLOAD_S, if no piece came late
