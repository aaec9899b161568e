"""Runs an object store of our own that speaks as S3 does, behind a door that may be shut."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from tests.service import wait_until

BUCKET = "atelier"
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PIECE_BYTES = 65_536
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


class Door:
    """Passes connections on to a port; while it is shut, answers 503 itself."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.is_shut = False
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where to knock."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def keys(self, prefix: str) -> list[str]:
        """Keys of the objects that there are."""
        listed = httpx.get(f"{self.url}/{BUCKET}", params={"list-type": 2, "prefix": prefix})
        return re.findall(r"<Key>(.*?)</Key>", listed.text)

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Break all connections, and let nobody in until the exit."""
        self.is_shut = True
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        try:
            yield
        finally:
            self.is_shut = False

    def close(self) -> None:
        """Take no more connections, and break those that there are."""
        with self.shut():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self.is_shut:
                self.refused += 1
                connection.recv(_PIECE_BYTES)
                connection.sendall(_BUSY)
                return
            with socket.create_connection(("127.0.0.1", self._behind)) as behind:
                self._open |= {connection, behind}
                back = threading.Thread(target=_pass_on, args=(behind, connection), daemon=True)
                back.start()
                _pass_on(connection, behind)
                back.join()
                self._open -= {connection, behind}


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_store(folder: Path) -> Iterator[Door]:
    """Start a store with one empty bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | CREDENTIALS,
            stdout=log,
            stderr=log,
        )
    bucket = f"http://127.0.0.1:{port}/{BUCKET}"

    def is_made() -> bool:
        with suppress(httpx.TransportError):
            return httpx.put(bucket).status_code == HTTPStatus.OK
        return False

    door = Door(port)
    try:
        wait_until(is_made)
        yield door
    finally:
        door.close()
        process.kill()
        process.wait()


def environment(door: Door) -> dict[str, str]:
    """What a process has to find in its environment to use the store."""
    return CREDENTIALS | {"AWS_ENDPOINT_URL": door.url, "AWS_ALLOW_HTTP": "true"}
