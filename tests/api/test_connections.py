"""Clients that take more connections, memory or time than is theirs."""

import gzip
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from app.keys import entry_for, new_key
from tests import http_client
from tests.api.hostile import received
from tests.jobs.studio import Studio
from tests.patience import patient
from tests.service import Service, running_service, wait_until

pytestmark = pytest.mark.processes

KEYS = {name: new_key() for name in ("ann", "bob")}
STREAMS = 3
KEYLESS = 20
LARGE = "/web/samples/digits.zip"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
UPLOAD_HEAD = (
    "POST /classify?model=mnist HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    f"Authorization: Bearer {KEYS['ann']}\r\nContent-Length: 4\r\n\r\n"
).encode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits, except for those on uploads."""
    limits: dict[str, Any] = {
        "api_keys": " ".join(str(entry_for(name, key)) for name, key in KEYS.items()),
        "metrics": "open",
        "upload_timeout_s": patient(1000),
        "upload_stall_s": patient(1000),
        "head_timeout_s": patient(60),
        "download_stall_s": patient(0.5),
        "max_connections": 20,
        "max_streams_per_caller": STREAMS,
        "max_keyless_requests_per_minute": KEYLESS,
    }
    with running_service(tmp_path_factory.mktemp("guarded"), **limits) as service:
        yield service


@pytest.fixture
def ann(guarded: Service) -> Iterator[httpx.Client]:
    with client_of(guarded, "ann") as client:
        yield client


@pytest.fixture
def job_id(ann: httpx.Client) -> Iterator[str]:
    """A job that waits, as there are no workers."""
    studio = Studio(ann)
    yield studio.start()
    studio.cancel_all()


def client_of(service: Service, name: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEYS[name]}"}
    return http_client.connect(base_url=service.url, headers=headers)


def connect(service: Service, source: str = HERE, receive_bytes: int = 0) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(patient())
    if receive_bytes:  # and small segments, so that the service's buffer is small, too
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 500)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", service.port))
    return connection


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def ask(service: Service, request: bytes, source: str = HERE) -> bytes:
    """Send a request on a connection of its own; return the answer up to the end of its head."""
    with connect(service, source) as connection:
        connection.sendall(request)
        return head_of(connection)


def head_of(connection: socket.socket) -> bytes:
    return received(connection, b"\r\n\r\n")


def is_closed(connection: socket.socket) -> bool:
    """Tell, without reading, whether the service has broken a connection."""
    poll = select.poll()
    poll.register(connection, 0)  # errors and hang-ups are always reported
    return bool(poll.poll(0))


def test_connection_of_a_client_that_does_not_read_is_aborted(guarded: Service) -> None:
    with connect(guarded, receive_bytes=4096) as connection:
        connection.sendall(get(LARGE) * 3)
        wait_until(lambda: is_closed(connection))


def test_client_that_reads_slowly_gets_everything(guarded: Service) -> None:
    with connect(guarded, receive_bytes=16_384) as connection:
        connection.sendall(get(LARGE, "Connection: close"))
        time.sleep(patient(0.2))  # less than it may wait
        answer = b""
        while piece := connection.recv(16_384):
            answer += piece
    body = answer.partition(b"\r\n\r\n")[2]
    assert body == http_client.get(f"{guarded.url}{LARGE}").content


def test_only_a_few_pipelined_requests_are_answered(guarded: Service) -> None:
    with connect(guarded) as connection:
        connection.sendall(get("/health/live") * 100)
        answers = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                answers += piece
    assert 1 <= answers.count(b"HTTP/1.1 200") < 10


def test_request_with_many_headers_is_refused(guarded: Service) -> None:
    headers = [f"a{number}: b" for number in range(150)]
    answer = ask(guarded, get("/health/live", *headers))
    assert answer.startswith(b"HTTP/1.1 431")


def chunked_get(path: str, trailers: str) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}2\r\n{{}}\r\n0\r\n{trailers}\r\n".encode()


def test_trailer_is_not_treated_as_a_header(guarded: Service) -> None:
    answer = ask(guarded, chunked_get("/jobs", f"Authorization: Bearer {KEYS['ann']}\r\n"))
    assert answer.startswith(b"HTTP/1.1 401")


def test_number_of_trailers_is_limited_like_that_of_headers(guarded: Service) -> None:
    with connect(guarded) as connection:
        connection.sendall(chunked_get("/health/live", "a: b\r\n" * 150))
        answers = received(connection, b"431")
    assert b"HTTP/1.1 431" in answers


def test_stalled_compressed_body_holds_only_the_bytes_sent(guarded: Service) -> None:
    with connect(guarded) as connection:
        packed = gzip.compress(bytes(90_000_000), 9)[:-8]
        head = (
            f"POST /v2/models/mnist/infer HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
            f"Authorization: Bearer {KEYS['ann']}\r\nContent-Length: {len(packed) + 8}\r\n\r\n"
        )
        connection.sendall(head.encode() + packed)
        wait_until(lambda: held_bytes(guarded) >= len(packed))
        assert held_bytes(guarded) == len(packed)
    wait_until(lambda: held_bytes(guarded) == 0)


def held_bytes(service: Service) -> float:
    lines = http_client.get(f"{service.url}/metrics").text.splitlines()
    (line,) = (line for line in lines if line.startswith("atelier_upload_bytes "))
    return float(line.split()[1])


def test_health_probes_and_other_peers_are_served_when_one_peer_is_at_its_limit(
    guarded: Service,
) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(connect(guarded)).sendall(UPLOAD_HEAD)
        wait_until(lambda: ask(guarded, get("/")).startswith(b"HTTP/1.1 503"))
        refused = ask(guarded, get("/"))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        probe = ask(guarded, get("/health/live"))
        assert probe.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in probe
        assert ask(guarded, get("/"), ELSEWHERE).startswith(b"HTTP/1.1 200")
    wait_until(lambda: ask(guarded, get("/")).startswith(b"HTTP/1.1 200"))


def test_idle_connections_of_one_peer_give_way_to_its_new_ones(guarded: Service) -> None:
    with ExitStack() as stack:
        older = stack.enter_context(connect(guarded, "127.0.0.9"))
        first, *others = [stack.enter_context(connect(guarded, "127.0.0.8")) for _ in range(10)]
        assert ask(guarded, get("/"), "127.0.0.8").startswith(b"HTTP/1.1 200")
        assert first.recv(1) == b""
        for kept in (older, *others):
            kept.sendall(get("/health/live"))
            assert head_of(kept).startswith(b"HTTP/1.1 200")


def test_early_answer_is_not_lost_while_the_body_arrives(guarded: Service) -> None:
    with ExitStack() as stack:
        sending = stack.enter_context(connect(guarded, "127.0.0.8"))
        sending.sendall(UPLOAD_HEAD.replace(b"/classify", b"/nothing"))
        assert received(sending, b"}").startswith(b"HTTP/1.1 404")
        sending.sendall(b"n")  # within the time that an idle connection is kept
        for _ in range(10):
            stack.enter_context(connect(guarded, "127.0.0.8"))
        for last in range(5, 8):
            for _ in range(10):
                stack.enter_context(connect(guarded, f"127.0.0.{last}"))
        assert ask(guarded, get("/"), ELSEWHERE).startswith(b"HTTP/1.1 200")
        sending.sendall(b"one" + get("/health/live"))
        assert head_of(sending).startswith(b"HTTP/1.1 200")


def test_idle_connections_of_two_peers_do_not_shut_out_others(guarded: Service) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(guarded, "127.0.0.5"))
            stack.enter_context(connect(guarded, "127.0.0.6"))
        assert ask(guarded, get("/health/live"), "127.0.0.7").startswith(b"HTTP/1.1 200")
        assert ask(guarded, get("/"), "127.0.0.7").startswith(b"HTTP/1.1 200")


def test_idle_connections_in_the_reserve_do_not_shut_out_health_probes(guarded: Service) -> None:
    with ExitStack() as stack:
        for last in (3, 4):  # all places outside the reserve
            for _ in range(10):
                stack.enter_context(connect(guarded, f"127.0.0.{last}")).sendall(UPLOAD_HEAD)
        wait_until(lambda: ask(guarded, get("/"), ELSEWHERE).startswith(b"HTTP/1.1 503"))
        for last in range(5, 10):
            for _ in range(20):
                stack.enter_context(connect(guarded, f"127.0.0.{last}"))
        for last in range(10, 15):
            probe = ask(guarded, get("/health/live"), f"127.0.0.{last}")
            assert probe.startswith(b"HTTP/1.1 200")


def test_connection_of_a_running_request_is_not_closed_for_another(guarded: Service) -> None:
    with ExitStack() as stack:
        running = stack.enter_context(connect(guarded))
        running.sendall(UPLOAD_HEAD)
        wait_until(lambda: ask(guarded, get("/"), ELSEWHERE).startswith(b"HTTP/1.1 200"))
        for last in range(5, 10):
            for _ in range(10):
                stack.enter_context(connect(guarded, f"127.0.0.{last}"))
        assert ask(guarded, get("/"), ELSEWHERE).startswith(b"HTTP/1.1 200")
        running.sendall(b"none")
        assert head_of(running).startswith(b"HTTP/1.1 4")


def test_event_streams_of_one_caller_are_limited(
    guarded: Service, ann: httpx.Client, job_id: str
) -> None:
    stream = get(f"/jobs/{job_id}/events", f"Authorization: Bearer {KEYS['ann']}")
    with ExitStack() as stack:
        open_streams = [stack.enter_context(connect(guarded)) for _ in range(STREAMS)]
        for connection in open_streams:
            connection.sendall(stream)
            assert head_of(connection).startswith(b"HTTP/1.1 200")
        refused = ann.get(f"/jobs/{job_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_at_once")
        assert int(refused.headers["Retry-After"]) > 0
        unknown = ann.get(f"/jobs/{'0' * 32}/events")
        assert unknown.status_code == 429  # before the job is looked up
        waiting = Studio(ann).submit({"Prefer": "wait=60"})
        assert (waiting.status_code, waiting.json()["code"]) == (429, "too_many_at_once")
        assert len(ann.get("/jobs?status=queued").json()["jobs"]) == 1
        with client_of(guarded, "bob") as bob:
            assert Studio(bob).submit({"Prefer": "wait=1"}).status_code == 202
    wait_until(lambda: is_taken(guarded, stream))


def test_event_streams_end_with_their_connection_also_when_requests_were_pipelined(
    guarded: Service, job_id: str
) -> None:
    stream = get(f"/jobs/{job_id}/events", f"Authorization: Bearer {KEYS['ann']}")
    for _ in range(STREAMS):
        with connect(guarded) as connection:
            connection.sendall(stream + get("/"))
            received(connection, b"event: progress")
    wait_until(lambda: is_taken(guarded, stream), timeout_s=10)  # a ping every 15 s would find out


def is_taken(service: Service, request: bytes) -> bool:
    return ask(service, request).startswith(b"HTTP/1.1 200")


def test_body_of_a_session_has_seconds_to_arrive(guarded: Service) -> None:
    with connect(guarded) as connection:
        head = "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 900\r\n\r\n{{".encode())

        def is_answered() -> bool:
            with suppress(OSError):
                connection.sendall(b" ")
            return bool(select.select([connection], [], [], 0.5)[0])

        wait_until(is_answered)
        assert head_of(connection).startswith(b"HTTP/1.1 408")


def test_keyless_requests_of_one_peer_are_limited(guarded: Service) -> None:
    keyless = get("/models")
    answers = [ask(guarded, keyless, "127.0.0.3") for _ in range(KEYLESS + 1)]
    assert all(answer.startswith(b"HTTP/1.1 401") for answer in answers[:-1])
    assert answers[-1].startswith(b"HTTP/1.1 429")
    assert b"retry-after: " in answers[-1]
    assert ask(guarded, get("/session"), "127.0.0.3").startswith(b"HTTP/1.1 429")
    for path in ("/", LARGE, "/health/live"):
        assert ask(guarded, get(path), "127.0.0.3").startswith(b"HTTP/1.1 200")
    keyed = get("/models", f"Authorization: Bearer {KEYS['ann']}")
    assert ask(guarded, keyed, "127.0.0.3").startswith(b"HTTP/1.1 200")
    assert ask(guarded, keyless, "127.0.0.4").startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("request_", "source", "status"),
    [
        (get(f"/session?{'&' * 70}"), "127.0.1.1", 422),
        (get("/session", "Sec-Fetch-Site: cross-site").replace(b"GET", b"POST"), "127.0.1.2", 403),
    ],
    ids=["parameters", "another site"],
)
def test_keyless_requests_that_are_refused_count_as_well(
    guarded: Service, request_: bytes, source: str, status: int
) -> None:
    answers = [ask(guarded, request_, source) for _ in range(KEYLESS + 1)]
    assert all(answer.startswith(b"HTTP/1.1 %d" % status) for answer in answers[:-1])
    assert answers[-1].startswith(b"HTTP/1.1 429")


def test_sign_ins_are_counted_apart_from_other_keyless_requests(guarded: Service) -> None:
    source = "127.0.1.3"
    wait_until(lambda: ask(guarded, get("/models"), source).startswith(b"HTTP/1.1 429"))
    sign_in = (
        b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Content-Length: 14\r\n\r\n{"key":"none"}'
    )
    answers = [ask(guarded, sign_in, source) for _ in range(KEYLESS + 1)]
    assert all(answer.startswith(b"HTTP/1.1 401") for answer in answers[:-1])
    assert answers[-1].startswith(b"HTTP/1.1 429")


def test_clients_that_a_proxy_names_without_an_address_are_counted_together(
    guarded: Service,
) -> None:
    answers = [
        ask(guarded, get("/models", f"X-Forwarded-For: client-{number}"))
        for number in range(KEYLESS + 1)
    ]
    assert answers[-1].startswith(b"HTTP/1.1 429")


def test_clients_of_a_trusted_proxy_are_counted_one_by_one(guarded: Service) -> None:
    one, other = (
        get("/models", f"X-Forwarded-For: {address}") for address in ("192.0.2.1", "192.0.2.2")
    )
    wait_until(lambda: ask(guarded, one).startswith(b"HTTP/1.1 429"))
    assert ask(guarded, other).startswith(b"HTTP/1.1 401")


def test_junk_after_a_request_does_not_replace_its_response(guarded: Service) -> None:
    with connect(guarded) as connection:
        connection.sendall(get("/limits", f"Authorization: Bearer {KEYS['ann']}") + b"junk\r\n\r\n")
        answer = received(connection, b"\0")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("more", ["Connection: close\r\n", ""], ids=["close", "keep alive"])
def test_early_response_reaches_a_client_that_sends_its_whole_body_first(
    guarded: Service, more: str
) -> None:
    body = bytes(20_000_000)
    head = (
        f"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {KEYS['ann']}\r\n{more}\r\n"
    )
    with connect(guarded) as connection:
        connection.sendall(head.encode() + body)
        assert head_of(connection).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("first_bytes", [0, 60_000])
def test_large_head_is_refused_however_it_arrives(guarded: Service, first_bytes: int) -> None:
    request = get("/health/live", *(f"a{number}: {'b' * 1600}" for number in range(60)))
    with connect(guarded) as connection:
        connection.sendall(request[:first_bytes])
        time.sleep(0.05)  # so that the rest is likely to arrive alone
        connection.sendall(request[first_bytes:])
        assert head_of(connection).startswith(b"HTTP/1.1 431")
