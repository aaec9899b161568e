"""Decodes and prepares uploaded images, off the event loop and within bounds."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from app.serving.errors import QueueFullError
from app.serving.metrics import Metrics
from app.vision.images import ImageLimits, PixelBudget, read_header


@dataclass(frozen=True)
class Prepared:
    """A model's input and what the image was: uint8 (C, H, W), and upright size in pixels."""

    picture: Tensor
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
    ) -> None:
        """Create the pool; `max_pixels` bounds what all threads hold decoded at one time."""
        self._limits = limits
        self._metrics = metrics
        self._pixels = PixelBudget(max_pixels)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._max_queue = max_queue
        self._queued = 0

    async def prepare(self, data: bytes, prepare: Callable[[Image.Image], Tensor]) -> Prepared:
        """Decode an image and prepare it for a model.

        Args:
            data: the encoded image.
            prepare: maps an RGB image to the model's input; called in the pool.

        Raises:
            QueueFullError: too many images are waiting.
            ImageError: the image cannot be used.
        """
        if self._queued >= self._max_queue:
            raise QueueFullError(f"{self._max_queue} images are waiting to be decoded")
        self._count(+1)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._prepare, data, prepare)
        except asyncio.CancelledError:
            self._metrics.dropped_images.inc()
            raise
        finally:
            self._count(-1)

    def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, data: bytes, prepare: Callable[[Image.Image], Tensor]) -> Prepared:
        header = read_header(data, self._limits)
        with self._pixels.reserve(header.pixels):
            started = time.perf_counter()
            image = header.decode()
            picture = prepare(image)
        self._metrics.decode_s.observe(time.perf_counter() - started)
        return Prepared(picture, image.width, image.height, header.format)

    def _count(self, change: int) -> None:
        self._queued += change
        self._metrics.queued_images.labels("decode").set(self._queued)
