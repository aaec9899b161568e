"""What stands between a service and a server, and may be shut, slow, or swallow what is sent."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PIECE_BYTES = 65_536


class Door:
    """Passes connections on to a port, unless it is told not to."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.is_shut = False
        self.refused = 0
        self._pause_s = 0.0
        self._is_read_only = False
        self._swallowed: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port on which to connect."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The address on which to connect, if it is HTTP that is passed on."""
        return f"http://127.0.0.1:{self.port}"

    def swallow(self) -> None:
        """Lose, from now on, what is sent over the present connections; they stay open."""
        self._swallowed |= self._open

    @contextmanager
    def slow(self, pause_s: float) -> Iterator[None]:
        """Rest before every 64 KB or less, until the exit."""
        self._pause_s = pause_s
        try:
            yield
        finally:
            self._pause_s = 0.0

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Break all connections, and answer new ones with 503 until the exit."""
        self.is_shut = True
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        try:
            yield
        finally:
            self.is_shut = False

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Answer every PUT with 403 until the exit."""
        self._is_read_only = True
        try:
            yield
        finally:
            self._is_read_only = False

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
                back = threading.Thread(
                    target=self._pass_on, args=(behind, connection), daemon=True
                )
                back.start()
                self._pass_on(connection, behind)
                back.join()
                self._open -= {connection, behind}

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                time.sleep(self._pause_s)
                if self._is_read_only and piece.startswith(b"PUT "):
                    self.refused += 1
                    source.sendall(_DENIED)
                    break
                if source not in self._swallowed:
                    target.sendall(piece)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
