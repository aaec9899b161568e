"""Decodes and prepares uploaded images, off the event loop and within bounds."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from PIL import Image

from app.metrics import Metrics
from app.serving.errors import QueueFullError
from app.serving.fair_queue import FairQueue
from app.vision.images import EncodedImage, ImageLimits, PixelBudget, read_header
from app.vision.screening import is_plain

T = TypeVar("T")

_TINY_BYTES, _TINY_PX = 4096, 32 * 32
"""Up to here, a plain image is decoded in less time than waking a thread for it takes."""


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """A preprocessed image, such as a model's input, and its upright size in pixels."""

    picture: T
    width: int
    height: int
    format: str


@dataclass(frozen=True, eq=False)
class _Task:
    """An image that waits for a thread."""

    work: Callable[[], Any]
    size_bytes: int
    done: Future[Any]
    since: float

    def fail(self, error: Exception) -> None:
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


class Decoder:
    """A pool of threads with a bounded queue. It belongs to one event loop.

    Flows, such as callers, get equal shares of the threads, by what their images cost: their bytes
    before anything is known of them, and their work once their header has been read.
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
            limits: what one image may ask for.
            metrics: where to count.
            threads: how many images are decoded at one time.
            max_pixels: how many pixels all threads together hold decoded.
            max_queue: images that may wait. A flow that has most of them gives way to others.
            timeout_s: the longest that an image may take before its thread counts as lost.
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
        self._lock = threading.Lock()  # of the queue, and of how often the pool has been called
        self._queue: FairQueue[_Task] = FairQueue()
        self._calls = 0
        self._started: dict[int, float] = {}  # by thread, when its present image was begun

    async def prepare(
        self,
        data: bytes,
        prepare: Callable[[Image.Image], T],
        flow: str,
        enough_px: int | None = None,
        count_pixels: Callable[[int], None] = lambda _: None,
    ) -> Prepared[T]:
        """Decode an image and make of it what is needed.

        Args:
            data: the encoded image.
            prepare: maps an RGB image to, for instance, a model's input; called in the pool.
            flow: the images that share one turn with this one.
            enough_px: the shorter side that this needs at least; None is all that there is.
            count_pixels: told how many the image has, in a thread, before it is decoded.

        Raises:
            QueueFullError: too many images are waiting.
            ImageError: the image cannot be used.
        """
        if len(data) <= _TINY_BYTES and is_plain(data):
            header = read_header(data, self._limits)
            if header.pixels <= _TINY_PX:
                count_pixels(header.pixels)
                return self._prepared(header, prepare, enough_px)
        done: Future[Prepared[T]] = Future()
        work = partial(self._prepare, data, prepare, flow, enough_px, count_pixels)
        task = _Task(work, len(data), done, time.monotonic())
        self._put(flow, task)
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            self._drop(flow, task)
            raise
        finally:
            del done, task  # they hold the error, whose traceback holds this frame

    async def until_lost(self) -> None:
        """Return when every thread is lost in an image; only the end of the process frees them.

        A decoder that hangs in native code cannot be stopped.
        """
        lost = 0
        while lost < self._threads:
            await asyncio.sleep(min(1.0, self._timeout_s))
            latest = time.monotonic() - self._timeout_s
            lost = sum(started < latest for started in list(self._started.values()))

    def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        with self._lock:
            dropped = [self._queue.take() for _ in range(len(self._queue))]
            self._show_length()
        for _flow, task in dropped:
            task.done.cancel()
        self._pool.shutdown(wait=True)

    def _put(self, flow: str, task: _Task) -> None:
        """Let a task wait, and call a thread for one of those that wait."""
        pushed_out = None
        with self._lock:
            if len(self._queue) >= self._max_queue:
                pushed_out = self._queue.push_out(flow)
                if pushed_out is None:
                    raise self._full()
            self._queue.put(flow, task)
            if self._calls < len(self._queue):
                self._pool.submit(self._run_next)
                self._calls += 1
            self._show_length()
        if pushed_out:
            pushed_out.fail(self._full())

    def _full(self) -> QueueFullError:
        return QueueFullError(f"{self._max_queue} images are waiting to be decoded")

    def _drop(self, flow: str, task: _Task) -> None:
        """Take a task that nobody awaits any more out of the queue."""
        with self._lock:
            self._queue.remove(flow, task)
            self._show_length()
        self._metrics.dropped_images.inc()

    def _run_next(self) -> None:
        """Work in a thread of the pool on the task whose turn it is."""
        with self._lock:
            self._calls -= 1
            if not self._queue:  # what it was called for has been dropped
                return
            flow, task = self._queue.take()
            self._queue.charge(flow, task.size_bytes)
            self._show_length()
        if task.done.set_running_or_notify_cancel():
            self._wait_s.observe(time.monotonic() - task.since)
            try:
                result = task.work()
            except BaseException as error:  # as executors do: it belongs to whoever awaits the task
                task.done.set_exception(error)
            else:
                task.done.set_result(result)
        del task  # as above

    def _show_length(self) -> None:
        self._queued_images.set(len(self._queue))

    def _prepare(
        self,
        data: bytes,
        prepare: Callable[[Image.Image], T],
        flow: str,
        enough_px: int | None,
        count_pixels: Callable[[int], None],
    ) -> Prepared[T]:
        """Work in a thread of the pool."""
        thread = threading.get_ident()
        self._started[thread] = time.monotonic()
        try:
            header = read_header(data, self._limits)
            with self._lock:
                self._queue.charge(flow, header.work)
            count_pixels(header.pixels)
            with self._pixels.reserve(header.pixels):
                return self._prepared(header, prepare, enough_px)
        finally:
            del self._started[thread]

    def _prepared(
        self, header: EncodedImage, prepare: Callable[[Image.Image], T], enough_px: int | None
    ) -> Prepared[T]:
        with self._metrics.decode_s.time():
            picture = prepare(header.decode(enough_px=enough_px))
            return Prepared(picture, *header.upright_size, header.format)
