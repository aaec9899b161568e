"""Construction of a worker process: the network, the job queue, the storage."""

import json
import os
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from http.client import HTTPException
from types import TracebackType
from typing import Self, TypeVar

import structlog
import torch

from app.jobs.broker import BrokerDeliveries
from app.jobs.calibrations import Calibrations
from app.jobs.cleanup import note_lost
from app.jobs.db.database import Database
from app.jobs.errors import StoreUnavailableError
from app.jobs.execution.evaluate import EvaluateHandler
from app.jobs.execution.progress import ReportIntervals
from app.jobs.execution.runner import Runner
from app.jobs.execution.stylize import StylizeHandler
from app.jobs.execution.watchdog import Watchdog, WatchdogTimeouts
from app.jobs.model import Job, JobKind
from app.jobs.queue import JobQueue
from app.jobs.storage.base import FileStorage
from app.jobs.storage.factory import open_storage
from app.jobs.worker_registry import RegisteredWorker, WorkerRegistry
from app.settings import Settings
from app.style.calibration import CalibrationInterruptedError, calibrate, calibration_key
from app.style.targets import StyleTargets
from app.style.vgg import VGG19, Convention
from app.vision.device import choose_device, memory_bytes
from app.vision.heap import release_free_memory, retain_freed_memory
from app.vision.images import PixelBudget, configure_pillow

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

_NICE = 10  # if it shares a CPU with the web process
_STORE_AWAY_S = 1.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs of this host without a proxy."""


class WorkerServices:
    """The services of one worker process, as a context manager that registers the worker.

    All operations are retried while the store is unreachable, until `stopping` is set.
    """

    def __init__(self, settings: Settings, name: str, stopping: threading.Event) -> None:
        configure_pillow()
        retain_freed_memory()
        torch.set_num_threads(settings.compute_threads)
        device = choose_device(settings.device)
        if device.type == "cpu":
            os.nice(_NICE)
        self._name = name
        self._stopping = stopping
        self.database = Database(settings.database, settings.store_timeout_s)
        self._queue = JobQueue(self.database, settings.lease_s, settings.retry_s)
        self._worker_registry = WorkerRegistry(self.database, settings.lease_s)
        convention = Convention(settings.vgg19_convention)
        self._targets = StyleTargets(VGG19.load(device, settings.vgg19_weights, convention))
        memory = settings.worker_memory_bytes or memory_bytes(device)
        self.storage = open_storage(settings.storage)
        self._calibrations = Calibrations(settings.data_dir / "calibrations.json")
        limits = settings.image_limits
        self._painting = StylizeHandler(self._targets, self.storage, limits, memory)
        self._painting.calibration = self._calibrations.find(calibration_key(self._targets.network))
        timeouts = WatchdogTimeouts(
            renew_s=settings.lease_renew_s,
            give_up_s=settings.lease_give_up_s,
            stall_s=settings.stall_s,
            cancel_s=settings.cancel_s,
        )
        self._watchdog = Watchdog(name, self._queue, self._worker_registry, timeouts)
        self._runner = Runner(
            self._queue,
            self.storage,
            {
                JobKind.STYLIZE: self._painting,
                JobKind.EVALUATE: _evaluating(settings, device, self.storage, self._watchdog),
            },
            self._watchdog,
            ReportIntervals(settings.report_s, settings.checkpoint_s, settings.result_wait_s),
        )
        self._deliveries = BrokerDeliveries(
            self._queue, name, self._reap, stopping, settings.worker_poll_s
        )
        known = self._painting.calibration
        self._card = RegisteredWorker(
            name=name,
            device=str(device),
            dtype=str(self._targets.network.dtype).removeprefix("torch."),
            memory_bytes=memory,
            calibration=asdict(known) if known else None,
        )

    def __enter__(self) -> Self:
        """Register the worker and start its watchdog."""
        self._patiently(self.database.migrate)
        self._patiently(lambda: self._worker_registry.join(self._card))
        self._watchdog.__enter__()
        if not self._stopping.is_set():
            log.info("worker ready", device=self._card.device, dtype=self._card.dtype)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the watchdog and unregister the worker."""
        self._watchdog.__exit__(kind, error, trace)
        self._patiently(lambda: self._worker_registry.leave(self._name))
        self.database.close()

    def claim(self) -> Job | None:
        """Claim the next job, if there is one."""
        return self._patiently(self._next_job)

    def claim_delivered(self, job_id: str, *, is_redelivered: bool) -> Job | None:
        """Claim a delivered job, if it is waiting."""
        return self._patiently(
            lambda: self._deliveries.claim(job_id, is_redelivered=is_redelivered)
        )

    def release(self, workers: str) -> None:
        """Release the jobs of dead workers, given the start of their names."""
        self._patiently(lambda: note_lost(self._queue.release(workers), self.storage))

    def run(self, job: Job) -> None:
        """Run a claimed job."""
        self._runner.run(job, self._stopping)
        release_free_memory()

    def measure(self, web_url: str | None = None) -> bool:
        """Calibrate the cost of painting once, while idle; return whether to look for jobs again.

        A web process at `web_url` has to be ready and to have selected its engines before.
        """
        if self._painting.calibration is not None or not _is_settled(web_url):
            return False
        try:
            found = calibrate(self._targets, self._is_wanted)
        except CalibrationInterruptedError:
            return True
        log.info("measured", **asdict(found))
        self._painting.calibration = found
        self._calibrations.keep(calibration_key(self._targets.network), found)
        self._patiently(lambda: self._worker_registry.calibrate(self._name, asdict(found)))
        return True

    def _next_job(self) -> Job | None:
        if not self._queue.has_work():
            return None
        self._reap()
        return self._queue.claim(self._name)

    def _reap(self) -> None:
        note_lost(self._queue.reap(), self.storage)

    def _is_wanted(self) -> bool:
        try:
            return self._stopping.is_set() or self._queue.has_work()
        except StoreUnavailableError:
            return False

    def _patiently(self, action: Callable[[], T]) -> T | None:
        while True:
            try:
                return action()
            except StoreUnavailableError as error:
                log.warning("the store does not answer", error=str(error))
            if self._stopping.wait(_STORE_AWAY_S):
                return None


def _evaluating(
    settings: Settings, device: torch.device, storage: FileStorage, watchdog: Watchdog
) -> EvaluateHandler:
    return EvaluateHandler(
        settings.models_dir,
        settings.datasets,
        device,
        settings.engines,
        storage,
        settings.image_limits,
        settings.archive_limits,
        PixelBudget(settings.max_decoding_pixels),
        threads=settings.decode_threads,
        max_s=settings.max_evaluation_s,
        came=watchdog.waits_for_what_comes,
    )


def _is_settled(web_url: str | None) -> bool:
    """Return whether the web process is ready and has selected its engines."""
    if web_url is None:
        return True
    try:
        with _DIRECT.open(f"{web_url}/health/ready", timeout=1) as response:
            return not json.load(response)["selecting"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):  # or another service
        return False
