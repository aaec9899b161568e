"""Signals: requests to reload and to stop, and the link of a child process to its supervisor."""

import asyncio
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from app.settings import Settings


def setter_for_signal_handlers(event: threading.Event) -> Callable[[], None]:
    """Return a function that sets an event and may be called in a signal handler.

    The interrupted code may hold the event's lock, so a thread sets it; `SimpleQueue.put` is
    reentrant.
    """
    requests = queue.SimpleQueue[None]()

    def wait() -> None:
        requests.get()
        event.set()

    threading.Thread(target=wait, name="signal", daemon=True).start()
    return partial(requests.put, None)


class ReloadSignal:
    """SIGHUP as a request to reload. Before `listen`, requests are ignored.

    Without a terminal, or under `nohup`, SIGHUP always requests a reload; otherwise it may mean
    that the terminal was closed.
    """

    def __init__(self) -> None:
        is_kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._needs_terminal = _has_terminal() and not is_kept
        self._on_wish: Callable[[], None] = lambda: None
        signal.signal(signal.SIGHUP, lambda *_: self._heard())

    def listen(self, on_wish: Callable[[], None]) -> None:
        """Call `on_wish` in the running event loop, which must be the main thread's."""
        self._on_wish = on_wish
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._heard)

    def _heard(self) -> None:
        if self._needs_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            self._on_wish()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


KILL_AFTER_GRACE_S = 5.0


def exit_with_supervisor(settings: Settings) -> None:
    """Stop this process when the supervisor, at the other end of stdin, has ended.

    A byte from the supervisor stands for a SIGHUP.
    """

    def wait_for_end() -> None:
        while os.read(
            sys.stdin.fileno(), 1
        ):  # unbuffered, because a lock that is held at exit would abort the process
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(settings.shutdown_grace_s + KILL_AFTER_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_end, name="supervisor-watch", daemon=True).start()
