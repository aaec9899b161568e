"""Keeps the service's child processes running.

The supervisor owns the data directory (a second one on it refuses to start) and the listening
socket (while a crashed web process starts again, clients wait in the backlog instead of being
refused). Every child has a pipe from the supervisor as its standard input: when the supervisor
ends, however it ends, the pipe closes and the child ends too.
"""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.settings import Settings
from app.vision.errors import AtelierError

log = structlog.stdlib.get_logger(__name__)

_BACKLOG = 1024
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_HEALTHY_AFTER_S = 60.0
_KILL_AFTER_GRACE_S = 5.0

REFUSED = 2  # exit status of a command that cannot work as it was called or configured


class StartError(AtelierError):
    """The service cannot start on this data directory or address."""


def serve(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises:
        StartError: the data directory is in use, or the address cannot be listened on.
    """
    with _sole_owner(settings), listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        log.info("listening", url=f"http://{host}:{port}")
        os.set_inheritable(listener.fileno(), True)
        web = ["web", "--supervised", "--fd", str(listener.fileno())]
        family = _Family(listener.fileno(), settings.shutdown_grace_s)
        asyncio.run(family.supervise({"web": web}))


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket.

    Raises:
        StartError: the address is in use or not of this host.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another with --host and --port"
        ) from error


def exit_with_supervisor() -> None:
    """In a child: end like on SIGTERM when the supervisor at the other end of stdin is gone."""

    def wait_for_end() -> None:
        os.read(sys.stdin.fileno(), 1)  # not buffered: a lock held at exit would abort
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_end, name="supervisor-watch", daemon=True).start()


@contextmanager
def _sole_owner(settings: Settings) -> Iterator[None]:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        lock = (settings.data_dir / "serve.lock").open("w")
    except OSError as error:
        raise StartError(
            f"the data directory {settings.data_dir} cannot be used: {error.strerror}; "
            "set ATELIER_DATA_DIR to another one"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"another service runs on the data directory {settings.data_dir}; "
                "stop it, or set ATELIER_DATA_DIR to another one"
            ) from None
        yield


class _Family:
    """The children, until the service is told to stop or one of them can never start."""

    def __init__(self, fd: int, grace_s: float) -> None:
        self._fd = fd
        self._grace_s = grace_s
        self._stopping = asyncio.Event()
        self._unstartable = ""

    async def supervise(self, children: dict[str, list[str]]) -> None:
        """Run every child, by name and command line.

        Raises:
            StartError: a child refused to start; its own message is in the log.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        async with asyncio.TaskGroup() as group:
            for name, command in children.items():
                group.create_task(self._keep_running(name, command))
        if self._unstartable:
            raise StartError(f"the {self._unstartable} process cannot start; see above")

    async def _keep_running(self, name: str, command: list[str]) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            started = time.monotonic()
            process = await self._start(command)
            if not await self._ended(process):
                await self._stop(name, process)
            elif process.returncode == REFUSED:
                self._unstartable = name
                self._stopping.set()
            else:
                if time.monotonic() - started > _HEALTHY_AFTER_S:
                    backoff_s = _FIRST_BACKOFF_S
                log.error("child died", child=name, status=process.returncode, again_in_s=backoff_s)
                await self._wait(backoff_s)
                backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    async def _start(self, command: list[str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *command,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[self._fd],
            start_new_session=True,  # a Ctrl-C in the terminal is passed on once, by us
        )

    async def _ended(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the process to end or the service to stop; tell whether it was the process."""
        ended = asyncio.create_task(process.wait())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        stop.cancel()
        return process.returncode is not None

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _stop(self, name: str, process: asyncio.subprocess.Process) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s + _KILL_AFTER_GRACE_S)
        except TimeoutError:
            log.error("child does not stop and is killed", child=name)  # noqa: TRY400 - no news
            process.kill()
            await process.wait()
