import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from app.limits import ImageLimits
from app.metrics import Metrics
from app.serving.decoder import DecodedImage, Decoder
from app.serving.errors import QueueFullError
from app.vision.errors import ImageTooLargeError, UndecodableImageError
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import wait_until

PICTURE = encode(photograph())
THREADS, MAX_QUEUE = 2, 20


def size_of(image: Image.Image) -> Tensor:
    return torch.tensor(image.size)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def make_decoder(metrics: Metrics, threads: int = THREADS) -> Decoder:
    limits = ImageLimits(max_pixels=5000)
    return Decoder(
        limits, metrics, threads=threads, max_pixels=10_000, max_queue=MAX_QUEUE, timeout_s=0.1
    )


@pytest.fixture
async def decoder(metrics: Metrics) -> AsyncIterator[Decoder]:
    decoder = make_decoder(metrics)
    yield decoder
    decoder.close()


async def test_image_is_decoded_and_transformed(decoder: Decoder) -> None:
    images = await decoder.decode(PICTURE, size_of, "ann")
    assert (images.width, images.height, images.format) == (64, 48, "PNG")
    assert images.value.tolist() == [64, 48]


async def test_decoding_errors_are_raised_to_the_caller(decoder: Decoder) -> None:
    with pytest.raises(UndecodableImageError):
        await decoder.decode(PICTURE[:100], size_of, "ann")
    with pytest.raises(ImageTooLargeError):
        await decoder.decode(encode(photograph(100, 100)), size_of, "ann")
    assert (await decoder.decode(PICTURE, size_of, "ann")).width == 64


async def test_refused_image_is_freed_at_once(decoder: Decoder) -> None:
    class Size:
        def __call__(self, image: Image.Image) -> Tensor:
            return size_of(image)

    size = Size()  # lives as long as the image
    kept = weakref.ref(size)
    gc.disable()
    try:
        with pytest.raises(UndecodableImageError):
            await decoder.decode(PICTURE[:100], size, "ann")
        del size
        await asyncio.to_thread(wait_until, lambda: kept() is None)
    finally:
        gc.enable()


async def test_wait_until_hung_returns_when_every_thread_hangs(decoder: Decoder) -> None:
    may_run = threading.Event()

    def hang(image: Image.Image) -> Tensor:
        assert may_run.wait(patient())
        return size_of(image)

    lost = asyncio.create_task(decoder.wait_until_hung())
    first = asyncio.create_task(decoder.decode(PICTURE, hang, "ann"))
    await asyncio.sleep(0.4)
    assert not lost.done()  # one of two threads still works
    second = asyncio.create_task(decoder.decode(PICTURE, hang, "ann"))
    await asyncio.wait_for(lost, patient())
    may_run.set()
    await asyncio.gather(first, second)


@dataclass
class Gate:
    """Blocks every image that is being decoded until it is opened, and records their order."""

    begun: list[str] = field(default_factory=list)
    _open: threading.Event = field(default_factory=threading.Event)

    def of(self, name: str) -> Callable[[Image.Image], Tensor]:
        """Return the transform for the images of a flow."""

        def prepare(image: Image.Image) -> Tensor:
            self.begun.append(name)
            assert self._open.wait(patient())
            return size_of(image)

        return prepare

    def open(self) -> None:
        self._open.set()

    async def wait_for(self, count: int) -> None:
        """Wait until `count` images have arrived."""
        await asyncio.to_thread(wait_until, lambda: len(self.begun) >= count)


class Crowd:
    """Submits images of several flows, each in a task of its own."""

    def __init__(self, decoder: Decoder, gate: Gate) -> None:
        self._decoder = decoder
        self._gate = gate
        self.tasks: list[asyncio.Task[DecodedImage[Tensor]]] = []

    async def send(self, flow: str, count: int = 1, picture: bytes = PICTURE) -> None:
        """Queue images in the decoder."""
        for _ in range(count):
            work = self._decoder.decode(picture, self._gate.of(flow), flow)
            self.tasks.append(asyncio.create_task(work))
            await asyncio.sleep(0)  # one loop iteration, in which the task runs as far as it can

    async def answers(self) -> list[DecodedImage[Tensor] | BaseException]:
        """Open the gate and wait for all tasks."""
        self._gate.open()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def crowd(decoder: Decoder, gate: Gate) -> Crowd:
    return Crowd(decoder, gate)


async def test_tiny_image_does_not_wait_for_large_images(
    decoder: Decoder, crowd: Crowd, gate: Gate
) -> None:
    await crowd.send("ann", THREADS)
    await gate.wait_for(THREADS)
    await crowd.send("ann", MAX_QUEUE)
    tiny = await decoder.decode(encode(photograph(32, 32)), size_of, "ann")
    assert (tiny.width, tiny.height, tiny.format) == (32, 32, "PNG")
    with pytest.raises(UndecodableImageError):
        await decoder.decode(encode(photograph(32, 32))[:60], size_of, "ann")
    text = PngInfo()
    text.add_text("bomb", "a" * 100_000, zip=True)
    with pytest.raises(QueueFullError):  # it has to wait like a large image
        await decoder.decode(encode(photograph(32, 32), pnginfo=text), size_of, "ann")
    await crowd.answers()


async def test_full_queue_refuses_until_an_image_is_canceled(
    decoder: Decoder, crowd: Crowd, gate: Gate
) -> None:
    await crowd.send("ann", THREADS)
    await gate.wait_for(THREADS)
    await crowd.send("ann", MAX_QUEUE)
    with pytest.raises(QueueFullError, match=f"{MAX_QUEUE} images are waiting"):
        await decoder.decode(PICTURE, size_of, "ann")
    crowd.tasks.pop().cancel()
    await asyncio.sleep(0)
    await crowd.send("ann")
    answers = await crowd.answers()
    assert [isinstance(answer, DecodedImage) for answer in answers] == [True] * (
        THREADS + MAX_QUEUE
    )
    assert len(gate.begun) == THREADS + MAX_QUEUE


async def test_single_image_is_next_when_another_flow_has_many_waiting(
    crowd: Crowd, gate: Gate
) -> None:
    await crowd.send("mallory", THREADS)
    await gate.wait_for(THREADS)
    await crowd.send("mallory", MAX_QUEUE - 1)
    await crowd.send("ann")
    await crowd.answers()
    assert "ann" in gate.begun[: 2 * THREADS]  # only images that had been started are before it
    assert gate.begun.count("mallory") == THREADS + MAX_QUEUE - 1


async def test_flow_of_expensive_images_gets_fewer_turns(metrics: Metrics, gate: Gate) -> None:
    decoder = make_decoder(metrics, threads=1)  # several would race for the next image
    crowd = Crowd(decoder, gate)
    expensive = encode(photograph(70, 70), "JPEG", progressive=True)  # 10 scans
    cheap = encode(photograph(70, 70), "JPEG", quality=50)
    await crowd.send("mallory", 1, expensive)
    await gate.wait_for(1)
    await crowd.send("mallory", MAX_QUEUE // 2, expensive)
    await crowd.send("ann", MAX_QUEUE // 2, cheap)
    await crowd.answers()
    decoder.close()
    later = gate.begun[1:]
    assert later[: MAX_QUEUE // 2].count("ann") > MAX_QUEUE // 2 * 0.6
    assert later.count("ann") == later.count("mallory") == MAX_QUEUE // 2


async def test_canceled_images_leave_the_queue(
    decoder: Decoder, crowd: Crowd, gate: Gate, metrics: Metrics
) -> None:
    await crowd.send("mallory", THREADS)
    await gate.wait_for(THREADS)
    waiting = metrics.queued_images.labels("decode")
    for _ in range(5):  # far more than fit
        await crowd.send("mallory", MAX_QUEUE)
        assert next(iter(waiting.collect())).samples[0].value == MAX_QUEUE
        for _ in range(MAX_QUEUE):
            crowd.tasks.pop().cancel()
        await asyncio.sleep(0)
        assert next(iter(waiting.collect())).samples[0].value == 0
    await crowd.answers()
    assert (await decoder.decode(PICTURE, gate.of("ann"), "ann")).width == 64
    assert gate.begun == [*["mallory"] * THREADS, "ann"]


async def test_images_of_the_longest_flow_are_evicted(crowd: Crowd, gate: Gate) -> None:
    await crowd.send("mallory", THREADS)
    await gate.wait_for(THREADS)
    await crowd.send("mallory", MAX_QUEUE)
    await crowd.send("ann", 2)
    await crowd.send("mallory", 2)
    refused = [isinstance(answer, QueueFullError) for answer in await crowd.answers()]
    pushed_out, accepted = [True] * 2, [False] * 2
    assert refused == [
        *[False] * (THREADS + MAX_QUEUE - 2),
        *pushed_out,
        *accepted,
        *[True] * 2,
    ]


async def test_queue_of_many_flows_is_bounded(crowd: Crowd, gate: Gate) -> None:
    await crowd.send("mallory", THREADS)
    await gate.wait_for(THREADS)
    for number in range(MAX_QUEUE + 3):
        await crowd.send(f"caller {number}")
    answers = await crowd.answers()
    assert sum(isinstance(answer, QueueFullError) for answer in answers) == 3


async def test_close_cancels_waiting_images(decoder: Decoder, crowd: Crowd, gate: Gate) -> None:
    await crowd.send("ann", THREADS)
    await gate.wait_for(THREADS)
    await crowd.send("ann")
    closing = asyncio.create_task(asyncio.to_thread(decoder.close))
    await asyncio.wait([crowd.tasks[-1]], timeout=patient())
    assert crowd.tasks[-1].cancelled()
    await crowd.answers()
    await closing
