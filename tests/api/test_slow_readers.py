"""Clients that read a large answer slowly, or not at all."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.large_answers import SIZE
from tests.patience import patient
from tests.service import ROOT, wait_until

pytestmark = pytest.mark.processes

STALL_S = patient(2)
READ_EVERY_S = STALL_S / 40
PIECE = 4096
MAX_UNREAD_BYTES = 1_000_000


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """The address of a server of one large answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        address = listener.getsockname()
        words = [sys.executable, "-m", "tests.api.large_answers"]
        words += [str(listener.fileno()), str(STALL_S)]
        process = subprocess.Popen(words, cwd=ROOT, pass_fds=[listener.fileno()])
    try:
        yield address
    finally:
        process.terminate()
        process.wait(patient())


def ask(address: tuple[str, int], receive_bytes: int) -> socket.socket:
    """Send a request, and wait for the beginning of its answer."""
    connection = socket.socket()
    connection.settimeout(patient())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect(address)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    connection.recv(1, socket.MSG_PEEK)
    return connection


def kernel_name(address: tuple[str, int]) -> str:
    """Write an address of this host as /proc/net/tcp does."""
    return f"0100007F:{address[1]:04X}"


def unread_bytes(server: str, client: str) -> int | None:
    """The bytes that the server's kernel holds for a connection; None without a connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if words[1:3] == [server, client]:
            return int(words[4].partition(":")[0], 16)
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a client has taken")
def test_client_that_reads_slowly_all_the_time_is_not_cut_off(address: tuple[str, int]) -> None:
    with ask(address, receive_bytes=8192) as connection:
        end = time.monotonic() + 3 * STALL_S
        received = 0
        while time.monotonic() < end:
            received += len(connection.recv(PIECE))
            time.sleep(READ_EVERY_S)  # a slow line
        while piece := connection.recv(1_000_000):
            received += len(piece)
    assert received > SIZE  # with its head


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc/net/tcp")
def test_unread_answer_takes_little_memory_and_its_connection_is_aborted(
    address: tuple[str, int],
) -> None:
    with ask(address, receive_bytes=8192) as connection:
        ends = kernel_name(address), kernel_name(connection.getsockname())
        held = [unread_bytes(*ends)]

        def is_gone() -> bool:
            held.append(unread_bytes(*ends))
            return held[-1] is None

        wait_until(is_gone)
    known = [each for each in held if each is not None]
    assert 0 < max(known) < MAX_UNREAD_BYTES
