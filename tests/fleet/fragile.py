"""A worker whose work fails the first time, and ends its process: `fragile.py BROKER_URL NOTES`."""

import os
import sys
import threading
from pathlib import Path

import torch

from app.runtime.celery_broker import BrokerOptions
from app.runtime.celery_worker import consume
from tests.patience import patient


class Fragile:
    """Notes which process was given which job."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        first = not self._notes.exists()
        with self._notes.open("a") as file:
            file.write(f"{os.getpid()} {job_id} {is_redelivered}\n")
        if first:
            raise torch.AcceleratorError("the device has failed")

    def close(self) -> None:
        """There is nothing to let go of."""


def main(url: str, notes: str) -> int:
    def open_work(_stopping: threading.Event) -> Fragile:
        return Fragile(Path(notes))

    return consume(BrokerOptions(url, timeout_s=patient(1), time_limit_s=60), open_work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
