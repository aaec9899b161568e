"""The link of a child process to its supervisor."""

import os
import signal
import sys
import threading
import time

from app.settings import Settings

KILL_AFTER_GRACE_S = 5.0


def exit_with_supervisor(settings: Settings) -> None:
    """End as if stopped when the supervisor at the other end of stdin is gone.

    What the supervisor writes there is a SIGHUP.
    """

    def wait_for_end() -> None:
        while os.read(sys.stdin.fileno(), 1):  # not buffered: a lock held at exit would abort
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(settings.shutdown_grace_s + KILL_AFTER_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_end, name="supervisor-watch", daemon=True).start()
