"""Decodes and prepares uploaded images, off the event loop and within bounds."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from PIL import Image

from app.serving.errors import QueueFullError
from app.serving.metrics import Metrics
from app.vision.images import EncodedImage, ImageLimits, PixelBudget, read_header
from app.vision.screening import is_plain

T = TypeVar("T")

_TINY_BYTES, _TINY_PX = 4096, 32 * 32
"""Up to here, a plain image is decoded in less time than waking a thread for it takes."""


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """What was made of an image, such as a model's input, and its upright size in pixels."""

    picture: T
    width: int
    height: int
    format: str


class Decoder:
    """A pool of threads with a bounded queue. It belongs to one event loop."""

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
            max_queue: images that may wait.
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
        self._queued = 0
        self._started: dict[int, float] = {}  # by thread, when its present image was begun

    async def prepare(
        self,
        data: bytes,
        prepare: Callable[[Image.Image], T],
        enough_px: int | None = None,
        count_pixels: Callable[[int], None] = lambda _: None,
    ) -> Prepared[T]:
        """Decode an image and make of it what is needed.

        Args:
            data: the encoded image.
            prepare: maps an RGB image to, for instance, a model's input; called in the pool.
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
        if self._queued >= self._max_queue:
            raise QueueFullError(f"{self._max_queue} images are waiting to be decoded")
        self._count(+1)
        try:
            work = partial(self._prepare, data, prepare, enough_px, count_pixels, time.monotonic())
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except asyncio.CancelledError:
            self._metrics.dropped_images.inc()
            raise
        finally:
            self._count(-1)

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
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(
        self,
        data: bytes,
        prepare: Callable[[Image.Image], T],
        enough_px: int | None,
        count_pixels: Callable[[int], None],
        submitted: float,
    ) -> Prepared[T]:
        """Work in a thread of the pool."""
        thread, started = threading.get_ident(), time.monotonic()
        self._wait_s.observe(started - submitted)
        self._started[thread] = started
        try:
            header = read_header(data, self._limits)
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

    def _count(self, change: int) -> None:
        self._queued += change
        self._queued_images.set(self._queued)
