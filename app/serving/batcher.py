"""Batching of single requests, without a delay.

An idle model runs at once with the waiting requests; while it is busy, requests accumulate into the
next batch, in which callers take turns. There is no timer to tune. Images have been validated
before, so that a failure is one of the batch itself: its requests fail with the reason, and the
next batch runs.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog
from torch import Tensor

from app.metrics import Metrics
from app.serving.errors import InferenceError, QueueFullError, end_process_on_device_error
from app.serving.fair_queue import FairQueue

log = structlog.stdlib.get_logger(__name__)

_SMOOTHING = 0.2  # weight of the latest batch


@dataclass(frozen=True)
class BatchLimits:
    """Maximum images per batch, images in the queue, and expected waiting time."""

    max_batch: int
    max_queue: int
    max_wait_s: float


@dataclass(frozen=True, eq=False)
class _QueuedImage:
    image: Tensor
    result: asyncio.Future[Tensor]
    queued_at: float


class Batcher:
    """The bounded queue in front of one model. It belongs to one event loop."""

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Tensor]], Tensor],
        thread: Executor,
        metrics: Metrics,
        limits: BatchLimits,
    ) -> None:
        """Create the queue.

        Args:
            name: the model's name, for logs and metrics.
            run: maps n images to a tensor of n rows; called in `thread`.
            thread: the device's one thread, shared by all models on that device.
            metrics: the metrics to update.
            limits: limits of a batch and of the queue.
        """
        self._name = name
        self._run = run
        self._thread = thread
        self._limits = limits
        self._wait_s = metrics.wait_s.labels(name)
        self._inference_s = metrics.inference_s.labels(name)
        self._batch_images = metrics.batch_images.labels(name)
        self._queued_images = metrics.queued_images.labels(name)
        self._dropped_images = metrics.dropped_images
        self._waiting: FairQueue[_QueuedImage] = FairQueue()
        self._image_s = 0.0  # moving average of the time per image
        self._loop_task: asyncio.Task[None] | None = None

    async def submit(self, image: Tensor, flow: str) -> Tensor:
        """Return the image's row of the model's output.

        Canceling the call removes the image from the queue. Images of one flow, such as those of a
        caller, take turns with those of other flows.

        Raises:
            QueueFullError: the queue is full, or the expected waiting time is too long.
            InferenceError: the batch failed.
        """
        self._make_room(flow)
        result: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        request = _QueuedImage(image, result, time.perf_counter())
        self._waiting.put(flow, request)
        self._queued_images.inc()
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._run_batches())
        try:
            return await result
        except asyncio.CancelledError:
            self._drop(flow, request)
            raise

    def _make_room(self, flow: str) -> None:
        """If the queue is full, evict an image of a longer flow, or else raise QueueFullError."""
        count = len(self._waiting)
        wait_s = count * self._image_s
        if count < self._limits.max_queue and wait_s <= self._limits.max_wait_s:
            return
        full = QueueFullError(
            f"{count} images are waiting for the model {self._name!r}. Try again later.",
            max(1, math.ceil(wait_s)),
        )
        evicted = self._waiting.evict_for(flow)
        if evicted is None:
            raise full
        self._queued_images.dec()
        if not evicted.result.done():
            evicted.result.set_exception(full)

    def _drop(self, flow: str, request: _QueuedImage) -> None:
        if self._waiting.remove(flow, request):  # otherwise it is in the running batch
            self._dropped_images.inc()
            self._queued_images.dec()

    async def _run_batches(self) -> None:
        try:
            while batch := self._next_batch():
                await self._run_batch(batch)
        finally:
            self._loop_task = None

    def _next_batch(self) -> list[_QueuedImage]:
        count = min(len(self._waiting), self._limits.max_batch)
        batch = [self._take() for _ in range(count)]
        self._queued_images.dec(count)
        return batch

    def _take(self) -> _QueuedImage:
        flow, request = self._waiting.take()
        self._waiting.charge(flow, 1)
        return request

    async def _run_batch(self, batch: list[_QueuedImage]) -> None:
        images = [request.image for request in batch]
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        for request in batch:
            self._wait_s.observe(started - request.queued_at)
        try:
            rows = await loop.run_in_executor(self._thread, self._run, images)
            results = list(zip(batch, rows, strict=True))
        except Exception as error:
            log.exception("batch failed", model=self._name, images=len(batch))
            for request in batch:
                if not request.result.done():
                    reason = f"The model {self._name!r} failed: {type(error).__name__}."
                    request.result.set_exception(InferenceError(reason))
            end_process_on_device_error(error)
            return
        elapsed_s = time.perf_counter() - started
        self._image_s += _SMOOTHING * (elapsed_s / len(batch) - self._image_s)
        self._inference_s.observe(elapsed_s)
        self._batch_images.observe(len(batch))
        for request, row in results:
            if not request.result.done():
                request.result.set_result(row)
