"""Bounded pool of threads that decode and preprocess uploaded images."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from PIL import Image

from app.limits import ImageLimits
from app.metrics import Metrics
from app.serving.errors import QueueFullError
from app.serving.fair_queue import FairQueue
from app.vision.images import EncodedImage, PixelBudget, read_header
from app.vision.screening import is_plain

T = TypeVar("T")

_TINY_BYTES, _TINY_PX = 4096, 32 * 32
"""Plain images up to this size are decoded faster than a thread can be woken for them."""


@dataclass(frozen=True)
class DecodedImage(Generic[T]):
    """The result of a decoded image, such as a model's input, and its upright size in pixels."""

    value: T
    width: int
    height: int
    format: str


@dataclass(frozen=True, eq=False)
class _Task:
    """An image that is waiting for a thread."""

    work: Callable[[], Any]
    size_bytes: int
    done: Future[Any]
    queued_at: float

    def fail(self, error: Exception) -> None:
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


class Decoder:
    """A pool of threads with a bounded queue. It belongs to one event loop.

    Flows, such as callers, get equal shares of the threads, by the cost of their images: their
    bytes at first, and their estimated decoding time once the header has been read.
    """

    def __init__(
        self,
        limits: ImageLimits,
        metrics: Metrics,
        *,
        threads: int,
        max_pixels: int,
        max_queue: int,
        timeout_s: float,
    ) -> None:
        """Create the pool.

        Args:
            limits: limits of one image.
            metrics: the metrics to update.
            threads: number of images that are decoded at one time.
            max_pixels: limit on the decoded pixels that all threads together hold.
            max_queue: limit on waiting images. When it is reached, images of the longest flow are
                evicted for those of others.
            timeout_s: time after which the thread of an image counts as hung.
        """
        self._limits = limits
        self._metrics = metrics
        self._pixels = PixelBudget(max_pixels)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._threads = threads
        self._max_queue = max_queue
        self._wait_s = metrics.wait_s.labels("decode")
        self._queued_images = metrics.queued_images.labels("decode")
        self._timeout_s = timeout_s
        self._lock = threading.Lock()  # guards the queue and the number of pool calls
        self._queue: FairQueue[_Task] = FairQueue()
        self._calls = 0
        self._started: dict[int, float] = {}  # by thread, the start time of its current image

    async def decode(
        self,
        data: bytes,
        transform: Callable[[Image.Image], T],
        flow: str,
        min_side_px: int | None = None,
        count_pixels: Callable[[int], None] = lambda _: None,
    ) -> DecodedImage[T]:
        """Decode an image and transform it.

        Args:
            data: the encoded image.
            transform: maps an RGB image to, for instance, a model's input; called in the pool.
            flow: the flow of the image, such as its caller.
            min_side_px: the shorter side that `transform` needs at least; None means full size.
            count_pixels: called in a thread with the number of pixels, before decoding.

        Raises:
            QueueFullError: too many images are waiting.
            ImageError: the image cannot be used.
        """
        if len(data) <= _TINY_BYTES and is_plain(data):
            header = read_header(data, self._limits)
            if header.pixels <= _TINY_PX:
                count_pixels(header.pixels)
                return self._decode_pixels(header, transform, min_side_px)
        done: Future[DecodedImage[T]] = Future()
        work = partial(self._decode, data, transform, flow, min_side_px, count_pixels)
        task = _Task(work, len(data), done, time.monotonic())
        self._put(flow, task)
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            self._drop(flow, task)
            raise
        finally:
            del (
                done,
                task,
            )  # breaks a reference cycle: they hold the error, whose traceback holds this frame

    async def wait_until_hung(self) -> None:
        """Return when every thread hangs in an image. Only the end of the process stops them.

        A decoder that hangs in native code cannot be interrupted.
        """
        hung = 0
        while hung < self._threads:
            await asyncio.sleep(min(1.0, self._timeout_s))
            latest = time.monotonic() - self._timeout_s
            hung = sum(started < latest for started in list(self._started.values()))

    def close(self) -> None:
        """Stop the threads and drop all waiting images."""
        with self._lock:
            dropped = [self._queue.take() for _ in range(len(self._queue))]
            self._update_length()
        for _flow, task in dropped:
            task.done.cancel()
        self._pool.shutdown(wait=True)

    def _put(self, flow: str, task: _Task) -> None:
        """Queue a task, and call a thread for one of the waiting tasks."""
        evicted = None
        with self._lock:
            if len(self._queue) >= self._max_queue:
                evicted = self._queue.evict_for(flow)
                if evicted is None:
                    raise self._full()
            self._queue.put(flow, task)
            if self._calls < len(self._queue):
                self._pool.submit(self._run_next)
                self._calls += 1
            self._update_length()
        if evicted:
            evicted.fail(self._full())

    def _full(self) -> QueueFullError:
        return QueueFullError(
            f"{self._max_queue} images are waiting to be decoded. Try again later."
        )

    def _drop(self, flow: str, task: _Task) -> None:
        """Remove a canceled task from the queue."""
        with self._lock:
            self._queue.remove(flow, task)
            self._update_length()
        self._metrics.dropped_images.inc()

    def _run_next(self) -> None:
        """Run the next task, in a thread of the pool."""
        with self._lock:
            self._calls -= 1
            if not self._queue:  # the task has been dropped
                return
            flow, task = self._queue.take()
            self._queue.charge(flow, task.size_bytes)
            self._update_length()
        if task.done.set_running_or_notify_cancel():
            self._wait_s.observe(time.monotonic() - task.queued_at)
            try:
                result = task.work()
            except BaseException as error:  # as executors do: the awaiting caller handles it
                task.done.set_exception(error)
            else:
                task.done.set_result(result)
        del task  # as above

    def _update_length(self) -> None:
        self._queued_images.set(len(self._queue))

    def _decode(
        self,
        data: bytes,
        transform: Callable[[Image.Image], T],
        flow: str,
        min_side_px: int | None,
        count_pixels: Callable[[int], None],
    ) -> DecodedImage[T]:
        """Decode an image, in a thread of the pool."""
        thread = threading.get_ident()
        self._started[thread] = time.monotonic()
        try:
            header = read_header(data, self._limits)
            with self._lock:
                self._queue.charge(flow, header.decode_cost)
            count_pixels(header.pixels)
            with self._pixels.reserve(header.pixels):
                return self._decode_pixels(header, transform, min_side_px)
        finally:
            del self._started[thread]

    def _decode_pixels(
        self, header: EncodedImage, transform: Callable[[Image.Image], T], min_side_px: int | None
    ) -> DecodedImage[T]:
        with self._metrics.decode_s.time():
            value = transform(header.decode(min_side_px=min_side_px))
            return DecodedImage(value, *header.upright_size, header.format)
