"""The supervisor, which keeps the service's child processes running.

The supervisor owns the data directory (a second supervisor on it refuses to start) and the
listening socket (while a crashed web process restarts, clients wait in the backlog). The standard
input of each child is a pipe from the supervisor. When the supervisor ends for any reason, the pipe
closes and the child ends too. A byte in the pipe stands for a SIGHUP. The lease of a dead worker is
released at once.
"""

import asyncio
import fcntl
import functools
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from app.jobs.cleanup import note_lost
from app.jobs.db.database import Database
from app.jobs.errors import StoreUnavailableError
from app.jobs.queue import JobQueue
from app.jobs.storage.factory import open_storage
from app.runtime.listening import StartError, listen, reachable
from app.runtime.signals import KILL_AFTER_GRACE_S, ReloadSignal
from app.settings import Settings

log = structlog.stdlib.get_logger(__name__)

_HEALTHY_AFTER_S = 60.0

_WEB = "web"

REFUSED = 2  # exit status of a command with invalid arguments or settings


def serve(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT. SIGHUP makes the web process reload checkpoints.

    Raises:
        StartError: the data directory or the address is in use or not usable.
    """
    reload_signal = ReloadSignal()
    with _sole_owner(settings), listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        log.info("listening", url=f"http://{host}:{port}")
        workers = _Workers(settings, f"http://{reachable(host)}:{port}")
        workers.release_all()
        family = _Family(settings, reload_signal)
        asyncio.run(family.supervise([_web(listener), *workers.children()]))


def _web(listener: socket.socket) -> "_Child":
    fd, host = listener.fileno(), listener.getsockname()[0]
    command = ["web", "--supervised", "--fd", str(fd), "--host", host]
    return _Child(_WEB, lambda: command, descriptors=(fd,))


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


@dataclass(frozen=True)
class _Child:
    """A child process that is kept running.

    It has a command line for each start, a callback for its end, and the descriptors that it
    inherits.
    """

    name: str
    command: Callable[[], list[str]]
    ended: Callable[..., None] = lambda **_: None
    descriptors: tuple[int, ...] = ()


class _Workers:
    """The names of the workers, by which the lease of a dead one is released.

    No other service uses the data directory, so every lease under its name belongs to a worker of
    this supervisor or of an earlier one.
    """

    def __init__(self, settings: Settings, web_url: str) -> None:
        self._count = settings.workers
        self._web_url = web_url
        self._family = f"{socket.gethostname()}:{settings.data_dir.absolute()}#"
        database = Database(settings.database, settings.store_timeout_s)
        self._queue = JobQueue(database, settings.lease_s, settings.retry_s)
        self._storage = open_storage(settings.storage)
        self._names: dict[int, str] = {}
        try:
            database.migrate()
        except StoreUnavailableError as error:
            raise StartError(f"{error}; see ATELIER_DATA_DIR and ATELIER_DATABASE_URL") from error

    def children(self) -> list[_Child]:
        return [
            _Child(
                f"worker {number}",
                functools.partial(self._command, number),
                functools.partial(self._ended, number),
            )
            for number in range(self._count)
        ]

    def release_all(self) -> None:
        """Release the leases that an earlier supervisor left."""
        self._release(self._family)

    def _command(self, number: int) -> list[str]:
        name = self._names[number] = f"{self._family}{number}-{secrets.token_hex(4)}"
        return ["worker", "--supervised", "--name", name, "--web-url", self._web_url]

    def _ended(self, number: int, *, crashed: bool) -> None:
        self._release(self._names[number], crashed=crashed)

    def _release(self, names: str, *, crashed: bool = True) -> None:
        try:
            note_lost(self._queue.release(names, crashed=crashed), self._storage)
        except StoreUnavailableError as error:
            log.warning("a lease cannot be released; it will lapse", error=str(error))


class _Family:
    """All children, until the service stops or one of them can never start."""

    def __init__(self, settings: Settings, reload_signal: ReloadSignal) -> None:
        self._reload_signal = reload_signal
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._grace_s = settings.shutdown_grace_s
        self._restart_s = settings.restart_s
        self._longest_restart_s = settings.longest_restart_s
        self._stopping = asyncio.Event()
        self._unstartable = ""

    async def supervise(self, children: list[_Child]) -> None:
        """Run every child.

        Raises:
            StartError: a child refused to start; its own message is in the log.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._reload_signal.listen(self._reload)
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(self._keep_running(child))
        if self._unstartable:
            raise StartError(f"the {self._unstartable} process cannot start; see above")

    async def _keep_running(self, child: _Child) -> None:
        backoff_s, has_run = self._restart_s, False
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                process = self._processes[child.name] = await self._start(child)
            except (OSError, RuntimeError) as error:  # out of memory, processes or descriptors
                log.error(  # noqa: TRY400 - it says all
                    "a child process cannot be started",
                    child=child.name,
                    error=str(error),
                    again_in_s=backoff_s,
                )
                backoff_s = await self._back_off(backoff_s)
                continue
            if not await self._ended(process):
                await self._stop(child.name, process)
                await self._see_to(child, crashed=False)
            elif process.returncode == REFUSED and not has_run:
                self._unstartable = child.name
                self._stopping.set()
            else:
                if time.monotonic() - started > _HEALTHY_AFTER_S:
                    backoff_s = self._restart_s
                has_run = True
                log.error(
                    "child died",
                    child=child.name,
                    status=process.returncode,
                    again_in_s=backoff_s,
                )
                await self._see_to(child, crashed=True)
                backoff_s = await self._back_off(backoff_s)

    def _reload(self) -> None:
        """Pass SIGHUP on to the web process.

        One that has not started yet loads the new files anyway.
        """
        process = self._processes.get(_WEB)
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.write(b"\n")

    async def _start(self, child: _Child) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *child.command(),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=child.descriptors,
            start_new_session=True,  # the supervisor passes on a Ctrl-C of the terminal once
        )

    async def _see_to(self, child: _Child, *, crashed: bool) -> None:
        """Call the callback for a child's end. If it fails, leases lapse later."""
        try:
            await asyncio.to_thread(child.ended, crashed=crashed)
        except (OSError, RuntimeError) as error:  # out of memory, threads or descriptors
            log.error("a lease cannot be released; it will lapse", error=str(error))  # noqa: TRY400

    async def _ended(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until the process ends (return True) or the service stops (return False)."""
        ended = asyncio.create_task(process.wait())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        stop.cancel()
        return process.returncode is not None

    async def _back_off(self, seconds: float) -> float:
        """Wait unless the service stops, and return the next wait."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return min(2 * seconds, self._longest_restart_s)

    async def _stop(self, name: str, process: asyncio.subprocess.Process) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s + KILL_AFTER_GRACE_S)
        except TimeoutError:
            log.error("a child process does not stop; killing it", child=name)  # noqa: TRY400 - no news
            process.kill()
            await process.wait()
