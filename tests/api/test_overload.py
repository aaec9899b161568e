"""Too much at a time, and clients that leave before their answer."""

import resource
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests import http_client
from tests.api.hostile import GOOD, assert_still_serves, raw_head, received
from tests.patience import patient
from tests.pictures import encode
from tests.service import Service, running_service, wait_until


def test_uploads_together_hold_a_bounded_amount_of_memory(
    strict: Service, strict_client: httpx.Client
) -> None:
    refused = wait_until(lambda: _refused_beside_another_upload(strict, strict_client))
    assert refused is not None
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["Retry-After"] == "1"
    wait_until(lambda: not _refused(strict_client))


def _refused_beside_another_upload(service: Service, client: httpx.Client) -> httpx.Response | None:
    """Return the refusal of an upload while another one holds most of the memory.

    There is none if the other upload was not yet received, or timed out: then try again.
    """
    with socket.create_connection(("127.0.0.1", service.port), timeout=patient()) as holder:
        holder.sendall(raw_head(290_000) + b"\xff" * 250_000)
        refused = _refused(client)
        if refused is not None:
            assert_still_serves(client)  # a small upload still fits
        return refused


def test_uploads_of_one_peer_leave_memory_for_those_of_others(strict: Service) -> None:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                socket.create_connection(("127.0.0.1", strict.port), timeout=patient())
            )
            for _ in range(2)
        )
        for holder in (first, second):
            holder.sendall(raw_head(290_000) + b"\xff" * 190_000)
        (refused, *_), _, _ = select.select([first, second], [], [], patient())
        answer = received(refused, b"}")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"your uploads together may take at most 300,000 bytes" in answer
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        other = stack.enter_context(http_client.connect(base_url=strict.url, transport=elsewhere))
        assert _refused(other) is None


def _refused(client: httpx.Client) -> httpx.Response | None:
    """The answer to an upload, if there is no room for it."""
    answer = client.post("/classify", files=[("file", b"x" * 99_000)] * 2)
    return answer if answer.status_code == 503 else None


def test_client_that_disconnects_during_an_upload_leaves_no_memory_in_use(
    strict: Service, strict_client: httpx.Client
) -> None:
    head = raw_head(290000)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", strict.port), timeout=patient()) as connection:
            connection.sendall(head + b"\xff" * 200_000)
    wait_until(lambda: strict_client.post("/classify", files={"file": GOOD}).status_code == 200)
    assert "request failed" not in strict.log.read_text()


@pytest.mark.processes
def test_work_for_a_disconnected_client_is_not_done(tmp_path: Path) -> None:
    picture = encode(Image.new("RGB", (6000, 6000)), "JPEG")
    with running_service(tmp_path, decode_threads=1) as service:
        head = (
            "POST /classify?model=cifar10 HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        )
        leavers = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(24)]
        for connection in leavers:
            connection.sendall(head.encode() + picture)
        wait_until(lambda: counted(service, 'atelier_queued_images{stage="decode"}') >= 12)
        for connection in leavers:
            connection.close()
        wait_until(lambda: counted(service, "atelier_dropped_images_total") >= 6)
        assert http_client.post(f"{service.url}/classify", files={"file": GOOD}).status_code == 200


def counted(service: Service, name: str) -> float:
    """A value of `GET /metrics`."""
    text = http_client.get(f"{service.url}/metrics").text
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


@pytest.mark.processes
def test_overload_answers_503_and_recovers(tmp_path: Path) -> None:
    picture = encode(Image.new("RGB", (4000, 4000)), "JPEG")
    limits = {"decode_threads": 1, "max_queue": 3, "max_request_files": 3}
    with running_service(tmp_path, **limits) as service:

        def send(number: int) -> httpx.Response:
            files = [("file", picture)] * (1 + number % 2)
            return http_client.post(f"{service.url}/classify?model=cifar10", files=files)

        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(send, range(32)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["code"] == "overloaded"
                assert answer.headers["Retry-After"] == "1"
        assert send(0).status_code == 200


@pytest.mark.processes
def test_idle_connections_of_one_peer_leave_room_for_others(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with running_service(tmp_path) as service:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(300)]
            assert http_client.get(f"{service.url}/models").status_code == 200
            assert "Too many open files" not in service.log.read_text()
            for connection in idle:
                connection.close()
            wait_until(service.is_ready)
            assert "Too many open files" not in service.log.read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
