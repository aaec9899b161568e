"""Turns single requests into batches without making any of them wait.

Greedy: an idle model runs at once with whatever is there; while it is busy, requests accumulate
into the next batch, in which callers take turns. There is no timer to tune. Pictures are valid
before they come here, so what fails is the batch itself; its requests get the reason and the next
batch runs.
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
from app.serving.errors import InferenceError, QueueFullError, end_if_poisoned
from app.serving.fair_queue import FairQueue

log = structlog.stdlib.get_logger(__name__)

_SMOOTHING = 0.2  # the weight of the latest batch


@dataclass(frozen=True)
class BatchLimits:
    """Limits on one batch, on the queue for it, and on the time in the queue."""

    max_batch: int
    max_queue: int
    max_wait_s: float


@dataclass(frozen=True, eq=False)
class _Request:
    picture: Tensor
    answer: asyncio.Future[Tensor]
    since: float


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
            run: maps n pictures to a tensor of n rows; called in `thread`.
            thread: the device's one thread, shared by all models on that device.
            metrics: where to count.
            limits: of a batch and of the queue.
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
        self._waiting: FairQueue[_Request] = FairQueue()
        self._image_s = 0.0  # what an image costs in a batch, of late
        self._loop_task: asyncio.Task[None] | None = None

    async def submit(self, picture: Tensor, flow: str) -> Tensor:
        """Return the picture's row of the model's answer.

        Cancelling the call takes the picture out of the queue. Pictures of one flow, such as those
        of a caller, take turns with those of others.

        Raises:
            QueueFullError: as many pictures are waiting as may, or as can be answered in time.
            InferenceError: the batch failed.
        """
        self._make_room(flow)
        answer: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        request = _Request(picture, answer, time.perf_counter())
        self._waiting.put(flow, request)
        self._queued_images.inc()
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._run_batches())
        try:
            return await answer
        except asyncio.CancelledError:
            self._drop(flow, request)
            raise

    def _make_room(self, flow: str) -> None:
        """Refuse a picture, or one of a flow that has more waiting, when there is no room."""
        count = len(self._waiting)
        wait_s = count * self._image_s
        if count < self._limits.max_queue and wait_s <= self._limits.max_wait_s:
            return
        full = QueueFullError(
            f"{count} images are waiting for {self._name}", max(1, math.ceil(wait_s))
        )
        pushed_out = self._waiting.push_out(flow)
        if pushed_out is None:
            raise full
        self._queued_images.dec()
        if not pushed_out.answer.done():
            pushed_out.answer.set_exception(full)

    def _drop(self, flow: str, request: _Request) -> None:
        if self._waiting.remove(flow, request):  # else it is being computed
            self._dropped_images.inc()
            self._queued_images.dec()

    async def _run_batches(self) -> None:
        try:
            while batch := self._next_batch():
                await self._answer(batch)
        finally:
            self._loop_task = None

    def _next_batch(self) -> list[_Request]:
        count = min(len(self._waiting), self._limits.max_batch)
        batch = [self._take() for _ in range(count)]
        self._queued_images.dec(count)
        return batch

    def _take(self) -> _Request:
        flow, request = self._waiting.take()
        self._waiting.charge(flow, 1)
        return request

    async def _answer(self, batch: list[_Request]) -> None:
        pictures = [request.picture for request in batch]
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        for request in batch:
            self._wait_s.observe(started - request.since)
        try:
            rows = await loop.run_in_executor(self._thread, self._run, pictures)
            answers = list(zip(batch, rows, strict=True))
        except Exception as error:
            log.exception("batch failed", model=self._name, images=len(batch))
            for request in batch:
                if not request.answer.done():
                    reason = f"{self._name} could not compute: {type(error).__name__}"
                    request.answer.set_exception(InferenceError(reason))
            end_if_poisoned(error)
            return
        took_s = time.perf_counter() - started
        self._image_s += _SMOOTHING * (took_s / len(batch) - self._image_s)
        self._inference_s.observe(took_s)
        self._batch_images.observe(len(batch))
        for request, row in answers:
            if not request.answer.done():
                request.answer.set_result(row)
