"""SIGHUP: a wish for new checkpoints, or the end of the terminal that a process was started in."""

import _thread
import asyncio
import os
import signal
import threading
from collections.abc import Callable


def set_from_signal_handler(event: threading.Event) -> None:
    """Set an event without waiting for its lock, which the interrupted code may hold.

    The thread is of the lowest level: starting one of `threading` takes locks, too.
    """
    _thread.start_new_thread(event.set, ())


class ReloadSignal:
    """SIGHUP as a request to reload. Before `listen`, requests are ignored.

    Without a terminal, or under `nohup`, SIGHUP is always a wish.
    """

    def __init__(self) -> None:
        is_kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._needs_terminal = _has_terminal() and not is_kept
        self._on_wish: Callable[[], None] = lambda: None
        signal.signal(signal.SIGHUP, lambda *_: self._heard())

    def listen(self, on_wish: Callable[[], None]) -> None:
        """Call `on_wish` in the running event loop, which is the main thread's."""
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
