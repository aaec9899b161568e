"""What a worker process works with: the network, the job table, the files."""

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

from app.evaluation.sources import ArchiveLimits
from app.jobs.calibrations import Calibrations
from app.jobs.cleanup import note_lost
from app.jobs.db.database import Database
from app.jobs.deliveries import Deliveries
from app.jobs.errors import StoreUnavailableError
from app.jobs.execution.evaluate import Evaluating
from app.jobs.execution.progress import Pace
from app.jobs.execution.runner import Runner
from app.jobs.execution.stylize import Painting
from app.jobs.execution.watchdog import Liveness, WatchdogTimeouts
from app.jobs.model import Job, JobKind
from app.jobs.queue import Leases
from app.jobs.storage.base import Blobs
from app.jobs.storage.factory import open_blobs
from app.jobs.worker_registry import Roster, Worker
from app.settings import Settings
from app.style.calibration import CalibrationInterruptedError, calibrate, calibration_key
from app.style.targets import StyleTargets
from app.style.vgg import VGG19, Convention
from app.vision.device import choose_device, memory_bytes
from app.vision.heap import release_free_memory, retain_freed_memory
from app.vision.images import ImageLimits, PixelBudget, configure_pillow

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

_NICE = 10  # on a CPU that it shares with the web process
_STORE_AWAY_S = 1.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs of this host, past any proxy."""


class Workbench:
    """Of one worker process, made in it. Run it as a context: it enters the worker in the roster.

    Whatever it does is tried again while the store is away, until `stopping` is set.
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
        self._leases = Leases(self.database, settings.lease_s, settings.retry_s)
        self._roster = Roster(self.database, settings.lease_s)
        convention = Convention(settings.vgg19_convention)
        self._targets = StyleTargets(VGG19.load(device, settings.vgg19_weights, convention))
        memory = settings.worker_memory_bytes or memory_bytes(device)
        self.blobs = open_blobs(settings.blobs)
        self._calibrations = Calibrations(settings.data_dir / "calibrations.json")
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
        self._painting = Painting(self._targets, self.blobs, limits, memory)
        self._painting.calibration = self._calibrations.find(calibration_key(self._targets.network))
        timeouts = WatchdogTimeouts(
            renew_s=settings.lease_renew_s,
            give_up_s=settings.lease_give_up_s,
            stall_s=settings.stall_s,
            cancel_s=settings.cancel_s,
        )
        self._liveness = Liveness(name, self._leases, self._roster, timeouts)
        self._runner = Runner(
            self._leases,
            self.blobs,
            {
                JobKind.STYLIZE: self._painting,
                JobKind.EVALUATE: _evaluating(settings, device, self.blobs, self._liveness),
            },
            self._liveness,
            Pace(settings.report_s, settings.checkpoint_s, settings.result_wait_s),
        )
        self._deliveries = Deliveries(
            self._leases, name, self._reap, stopping, settings.worker_poll_s
        )
        known = self._painting.calibration
        self._card = Worker(
            name=name,
            device=str(device),
            dtype=str(self._targets.network.dtype).removeprefix("torch."),
            memory_bytes=memory,
            calibration=asdict(known) if known else None,
        )

    def __enter__(self) -> Self:
        """Start to work."""
        self._patiently(self.database.migrate)
        self._patiently(lambda: self._roster.join(self._card))
        self._liveness.__enter__()
        if not self._stopping.is_set():
            log.info("worker ready", device=self._card.device, dtype=self._card.dtype)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        self._liveness.__exit__(kind, error, trace)
        self._patiently(lambda: self._roster.leave(self._name))
        self.database.close()

    def claim(self) -> Job | None:
        """Take the job whose turn it is, if one waits."""
        return self._patiently(self._next_job)

    def claim_delivered(self, job_id: str, *, is_redelivered: bool) -> Job | None:
        """Take a job that this worker was told of, if it is to be taken."""
        return self._patiently(
            lambda: self._deliveries.claim(job_id, is_redelivered=is_redelivered)
        )

    def release(self, workers: str) -> None:
        """Take the jobs of workers that have died, by the beginning of their names."""
        self._patiently(lambda: note_lost(self._leases.release(workers), self.blobs))

    def run(self, job: Job) -> None:
        """Run a job that was just claimed."""
        self._runner.run(job, self._stopping)
        release_free_memory()

    def measure(self, web_url: str | None = None) -> bool:
        """Measure what painting costs, once, in a quiet moment; whether there may be work again.

        A web process at `web_url` has to be ready before, and to measure nothing itself any more.
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
        self._patiently(lambda: self._roster.calibrate(self._name, asdict(found)))
        return True

    def _next_job(self) -> Job | None:
        if not self._leases.has_work():
            return None
        self._reap()
        return self._leases.claim(self._name)

    def _reap(self) -> None:
        note_lost(self._leases.reap(), self.blobs)

    def _is_wanted(self) -> bool:
        try:
            return self._stopping.is_set() or self._leases.has_work()
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
    settings: Settings, device: torch.device, blobs: Blobs, liveness: Liveness
) -> Evaluating:
    return Evaluating(
        settings.models_dir,
        settings.datasets,
        device,
        settings.engines,
        blobs,
        ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
        ArchiveLimits(settings.max_archive_bytes, settings.max_archive_entries),
        PixelBudget(settings.max_decoding_pixels),
        threads=settings.decode_threads,
        max_s=settings.max_evaluation_s,
        came=liveness.waits_for_what_comes,
    )


def _is_settled(web_url: str | None) -> bool:
    """Tell whether the web process is ready and has selected the engines of its models."""
    if web_url is None:
        return True
    try:
        with _DIRECT.open(f"{web_url}/health/ready", timeout=1) as response:
            return not json.load(response)["selecting"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):  # or another service
        return False
