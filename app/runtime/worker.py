"""A worker process: it claims and runs jobs, one at a time, until it is told to stop."""

import os
import secrets
import signal
import threading
from contextlib import ExitStack

import structlog

from app.jobs.errors import StoreUnavailableError
from app.runtime.maintenance import make_maintenance, make_publisher
from app.runtime.signals import setter_for_signal_handlers
from app.runtime.worker_wiring import WorkerServices
from app.settings import Settings

log = structlog.stdlib.get_logger(__name__)


def run(settings: Settings, name: str, web_url: str | None = None) -> None:
    """Claim and run jobs of the database until SIGTERM or SIGINT.

    Args:
        settings: the settings of the service.
        name: a name that no other worker has or had.
        web_url: the web process that should be ready before the calibration, if there is one.
    """
    stopping = threading.Event()
    stop = setter_for_signal_handlers(stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    with WorkerServices(settings, name, stopping) as bench:
        while not stopping.is_set():
            job = bench.claim()
            if job is not None:
                bench.run(job)
            elif not bench.measure(web_url):
                stopping.wait(settings.worker_poll_s)


class DeliveredJobs:
    """The jobs that a broker delivers, in a child process of the worker with this name.

    When the child dies, the next one releases its job.
    """

    def __init__(self, settings: Settings, name: str, stopping: threading.Event) -> None:
        children = f"{name}/"
        own_name = f"{children}{os.getpid()}-{secrets.token_hex(4)}"
        self._stopping = stopping
        self._open = ExitStack()
        self._bench = self._open.enter_context(WorkerServices(settings, own_name, stopping))
        self._bench.release(children)
        self._every_s = settings.maintenance_s
        self._maintenance = make_maintenance(settings, self._bench.database, self._bench.storage)
        publisher = make_publisher(settings, self._bench.database)
        assert publisher is not None
        self._publisher = publisher
        self._open.callback(publisher.close)
        self._upkeep = threading.Thread(target=self._keep_up, daemon=True)
        self._upkeep.start()
        self._bench.measure()

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Claim and run a job."""
        job = self._bench.claim_delivered(job_id, is_redelivered=is_redelivered)
        if job is not None:
            self._bench.run(job)
            self._bench.measure()

    def close(self) -> None:
        """Stop the maintenance thread and close everything."""
        self._stopping.set()
        self._upkeep.join()
        self._open.close()

    def _keep_up(self) -> None:
        """Run the periodic tasks of a fleet's process."""
        while not self._stopping.wait(self._every_s):
            try:
                self._publisher.recover()
                self._publisher.announce()
                self._maintenance.tick()
            except (StoreUnavailableError, OSError) as error:
                log.warning("maintenance failed; retrying later", error=str(error))
            except Exception:  # the next call may succeed
                log.exception("maintenance failed")
