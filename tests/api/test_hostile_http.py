"""Requests that are meant to break an HTTP service."""

import re
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.pictures import encode, photograph
from tests.service import Service, running_service, wait_until

GOOD = encode(photograph())


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits, so that tests reach them quickly."""
    limits = {
        "max_image_bytes": 100_000,
        "max_request_bytes": 300_000,
        "max_upload_bytes": 400_000,
        "max_request_files": 8,
        "upload_timeout_s": 5,
        "upload_stall_s": 2,
    }
    with running_service(tmp_path_factory.mktemp("strict"), **limits) as service:
        yield service


@pytest.fixture
def strict_client(strict: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=strict.url, timeout=30) as client:
        yield client


def exchange(service: Service, request: bytes) -> bytes:
    """Send raw bytes and return the answer, or what came of it before the connection ended."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while True:
            received = connection.recv(65_536)
            answer += received
            head, _, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if not received or (length and len(body) >= int(length[1])):
                return answer


def raw_head(length: int) -> bytes:
    """The head of a raw image upload of so many bytes."""
    return (
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def multipart(*parts: bytes, boundary: bytes = b"B") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + (
        b"--" + boundary + b"--\r\n"
    )


def part(disposition: bytes, data: bytes = GOOD) -> bytes:
    return b"Content-Disposition: form-data" + disposition + b"\r\n\r\n" + data


def post(client: httpx.Client, body: bytes, content_type: str) -> httpx.Response:
    return client.post("/classify", content=body, headers={"Content-Type": content_type})


def assert_still_serves(client: httpx.Client) -> None:
    assert client.post("/classify", files={"file": GOOD}).status_code == 200


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
def test_a_strange_file_name_is_only_a_name(client: httpx.Client, filename: bytes) -> None:
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
    assert "at most 100,000" in response.json()["detail"]
    files = [("file", b"\xff\xd8\xff" + b"x" * 150_000), ("file", GOOD)]
    large, good = strict_client.post("/classify", files=files).json()["results"]
    assert large["error"]["code"] == "image_too_large"
    assert good["predictions"]


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=B"])
def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(
    strict: Service, content_type: str
) -> None:
    head = (
        f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
        "Content-Length: 999999999999\r\n\r\n"
    )
    answer = exchange(strict, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"at most 300,000 bytes" in answer


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
    assert "64 files" in response.json()["detail"]
    assert_still_serves(client)


def test_a_stalled_upload_is_given_up(strict: Service, strict_client: httpx.Client) -> None:
    head = raw_head(99)
    started = time.monotonic()
    answer = exchange(strict, head + b"abc")
    assert answer.startswith(b"HTTP/1.1 408")
    assert 1.9 < time.monotonic() - started < 4.5
    assert_still_serves(strict_client)


def test_a_slow_upload_is_given_up_although_it_never_stalls(strict: Service) -> None:
    head = raw_head(999)
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
        connection.sendall(head)
        started = time.monotonic()
        while time.monotonic() - started < 5.5:
            connection.sendall(b"x")
            time.sleep(0.2)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_uploads_together_hold_a_bounded_amount_of_memory(
    strict: Service, strict_client: httpx.Client
) -> None:
    head = raw_head(290000)
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as holder:
        holder.sendall(head + b"\xff" * 250_000)
        time.sleep(0.3)
        refused = strict_client.post("/classify", files=[("file", b"x" * 99_000)] * 2)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        assert_still_serves(strict_client)  # what fits is still taken
        assert holder.recv(100).startswith(b"HTTP/1.1 408")
    assert strict_client.post("/classify", files=[("file", b"x" * 99_000)] * 2).status_code == 200


def test_a_client_that_leaves_in_mid_upload_costs_nothing(
    strict: Service, strict_client: httpx.Client
) -> None:
    head = raw_head(290000)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
            connection.sendall(head + b"\xff" * 200_000)
    wait_until(lambda: strict_client.post("/classify", files={"file": GOOD}).status_code == 200)
    assert "request failed" not in strict.log.read_text()


def test_a_client_that_leaves_before_its_answer_is_not_computed(tmp_path: Path) -> None:
    picture = encode(photograph(3000, 3000), "JPEG", quality=95)
    with running_service(tmp_path, decode_threads=1) as service:
        head = (
            "POST /classify?model=cifar10 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(picture)}\r\n\r\n"
        )
        leavers = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(12)]
        for connection in leavers:
            connection.sendall(head.encode() + picture)
        time.sleep(0.1)
        for connection in leavers:
            connection.close()

        def dropped() -> float:
            text = httpx.get(f"{service.url}/metrics").text
            (line,) = (
                line
                for line in text.splitlines()
                if line.startswith("atelier_dropped_images_total")
            )
            return float(line.split()[1])

        wait_until(lambda: dropped() >= 5, 10)
        assert httpx.post(f"{service.url}/classify", files={"file": GOOD}).status_code == 200


def test_headers_that_never_end_are_cut_off(service: Service, client: httpx.Client) -> None:
    before_bytes = service.resident_bytes()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        endless = b"".join(b"X-%d: %1000d\r\n" % (index, index) for index in range(100_000))
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(endless)
    assert service.resident_bytes() - before_bytes < 50_000_000
    assert_still_serves(client)


def test_trailers_that_never_end_are_cut_off(service: Service, client: httpx.Client) -> None:
    before_bytes = service.resident_bytes()
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    for trailers in (b"a: b\r\n" * 3_000_000, b"a: " + b"b" * 20_000_000):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
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
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_what_is_not_http_is_a_problem(
    service: Service, client: httpx.Client, request_bytes: bytes
) -> None:
    answer = exchange(service, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert b"x-request-id: " in answer
    assert b'"code": "malformed_http"' in answer
    assert_still_serves(client)


def test_a_chunk_that_is_no_chunk_costs_nothing(service: Service, client: httpx.Client) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    assert exchange(service, head)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 415"}
    assert_still_serves(client)


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "anything"])
def test_an_offer_of_another_protocol_is_ignored(client: httpx.Client, protocol: str) -> None:
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "HTTP2-Settings": "AA"}
    response = client.post("/classify", files={"file": GOOD}, headers=headers)
    assert response.status_code == 200
    assert client.get("/health/live", headers=headers).status_code == 200


def test_a_silent_connection_is_closed(service: Service) -> None:
    silent = [socket.create_connection(("127.0.0.1", service.port), timeout=40) for _ in range(3)]
    silent[1].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
    silent[2].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b'{"status":"live"}'):
        answer += silent[2].recv(4096)
    silent[2].sendall(b"\r\n")  # stops uvicorn's own timer
    started = time.monotonic()
    for connection in silent:
        assert connection.recv(4096) == b""
        connection.close()
    assert 15 < time.monotonic() - started < 30


def test_idle_connections_leave_room_for_the_service(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with running_service(tmp_path) as service:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(300)]
            assert "Too many open files" not in service.log.read_text()
            for connection in idle:
                connection.close()
            wait_until(service.is_ready)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_overload_answers_503_and_recovers(tmp_path: Path) -> None:
    picture = encode(photograph(2000, 2000), "JPEG", quality=95)
    limits = {"decode_threads": 1, "max_queue": 3, "max_request_files": 3}
    with running_service(tmp_path, **limits) as service:

        def send(number: int) -> httpx.Response:
            files = [("file", picture)] * (1 + number % 2)
            return httpx.post(f"{service.url}/classify?model=cifar10", files=files, timeout=60)

        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(send, range(32)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["code"] == "overloaded"
                assert answer.headers["Retry-After"] == "1"
        assert send(0).status_code == 200


JSON_PATHS = ["/stylize/estimate", "/jobs/nosuch/continue"]


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


@pytest.mark.parametrize("path", JSON_PATHS)
def test_a_json_body_that_stalls_is_given_up(strict: Service, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    answer = exchange(strict, head.encode() + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b"[]", "application/json; charset=utf-8", 422),
        (b'{"width": 1, "height": 1, "colour": 1}', "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
    ],
)
def test_what_is_not_the_json_asked_for_is_a_problem(
    strict_client: httpx.Client, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    response = strict_client.post("/stylize/estimate", content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
