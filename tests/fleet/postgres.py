"""Runs a PostgreSQL server of our own, with its data in a temporary folder.

Use the fixtures of `tests/conftest.py`: `postgres` is a server that all tests share, `postgres_url`
a new database on it. A test that breaks a server for others starts one with `running_server`.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql

from tests.patience import patient
from tests.service import free_port, wait_until

USER = "atelier"
PASSWORD = "a-password/with:signs@"  # noqa: S105 - of a server that lives as long as a test
_PASSWORD_IN_URL = "a-password%2Fwith%3Asigns%40"  # noqa: S105

_HASTE = ("fsync=off", "full_page_writes=off")  # kept is what a killed process leaves to the kernel
_MODES = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

Mode = Literal["fast", "immediate"]


class PostgresServer:
    """A server on a port of 127.0.0.1, and on a socket in its folder."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        """Make the files of a new cluster in an empty folder."""
        self._binaries = binaries
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "log"
        self._user = _unprivileged() if os.geteuid() == 0 else None  # it refuses to run as root
        if self._user is not None:
            os.chown(folder, self._user, -1)
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)  # within a folder that is closed
        subprocess.run(
            [
                *(binaries / "initdb", "--pgdata", self._data, "--username", USER),
                *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", password),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=True,
            cwd=folder,
            capture_output=True,
            user=self._user,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (*_HASTE, f"port={self.port}", f"unix_socket_directories={self._folder}")
        words = [word for each in settings for word in ("-c", each)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *words],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                user=self._user,
            )
        wait_until(self._answers)

    def stop(self, mode: Mode = "fast") -> None:
        """Stop it, as `pg_ctl stop --mode` does; "immediate" is as good as a crash."""
        assert self._process is not None
        self._process.send_signal(_MODES[mode])
        self._process.wait(patient())
        self._process = None

    @contextmanager
    def stopped(self, mode: Mode = "fast") -> Iterator[None]:
        """Stop it, and start it again at the exit, on the same port and with the same data."""
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    def restart(self, mode: Mode = "fast") -> None:
        """Stop it and start it again."""
        with self.stopped(mode):
            pass

    def ensure_running(self) -> None:
        """Start it again if a test has left it stopped."""
        if not self.is_running():
            self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop all its processes with SIGSTOP: connections stay open, and nothing answers."""
        assert self._process is not None
        postmaster = self._process.pid
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it has no more children
        stopped = [postmaster, *_children(postmaster)]
        try:
            for pid in stopped[1:]:
                _send(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(stopped):
                _send(pid, signal.SIGCONT)

    def url(self, name: str = "postgres") -> str:
        """Return the address of a database, as a setting has it."""
        return f"postgresql://{USER}:{_PASSWORD_IN_URL}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        self.ensure_running()
        name = f"test_{secrets.token_hex(8)}"
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.ensure_running()
        name = sql.Identifier(url.rpartition("/")[2])
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def is_running(self) -> bool:
        """Return whether it was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self._folder), port=self.port, user=USER, dbname="postgres", autocommit=True
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


def find_binaries() -> Path | None:
    """The folder of the server's programs, if it is installed: that of PATH, or Debian's newest."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    folders = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server with a new cluster, where it is installed; it is gone afterwards."""
    binaries = find_binaries()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="atelier-pg-", dir="/tmp"))  # short: a socket's name
    try:
        server = PostgresServer(binaries, folder)
        server.start()
        try:
            yield server
        finally:
            if server.is_running():
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _unprivileged() -> int:
    return pwd.getpwnam("nobody").pw_uid


def _children(pid: int) -> list[int]:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
