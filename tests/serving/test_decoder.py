import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from app.serving.decoder import Decoder
from app.serving.errors import QueueFullError
from app.serving.metrics import Metrics
from app.vision.errors import ImageTooLargeError, UndecodableImageError
from app.vision.images import ImageLimits
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import wait_until

PICTURE = encode(photograph())


def size_of(image: Image.Image) -> Tensor:
    return torch.tensor(image.size)


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    limits = ImageLimits(max_pixels=5000)
    decoder = Decoder(limits, Metrics(), threads=2, max_pixels=10_000, max_queue=3, timeout_s=0.1)
    yield decoder
    decoder.close()


async def test_an_image_is_decoded_and_prepared(decoder: Decoder) -> None:
    prepared = await decoder.prepare(PICTURE, size_of)
    assert (prepared.width, prepared.height, prepared.format) == (64, 48, "PNG")
    assert prepared.picture.tolist() == [64, 48]


async def test_errors_come_back_to_the_caller(decoder: Decoder) -> None:
    with pytest.raises(UndecodableImageError):
        await decoder.prepare(PICTURE[:100], size_of)
    with pytest.raises(ImageTooLargeError):
        await decoder.prepare(encode(photograph(100, 100)), size_of)
    assert (await decoder.prepare(PICTURE, size_of)).width == 64


async def test_it_is_noticed_when_every_thread_is_lost(decoder: Decoder) -> None:
    may_run = threading.Event()

    def hang(image: Image.Image) -> Tensor:
        assert may_run.wait(patient())
        return size_of(image)

    lost = asyncio.create_task(decoder.until_lost())
    first = asyncio.create_task(decoder.prepare(PICTURE, hang))
    await asyncio.sleep(0.4)
    assert not lost.done()  # one of two threads still works
    second = asyncio.create_task(decoder.prepare(PICTURE, hang))
    await asyncio.wait_for(lost, patient())
    may_run.set()
    await asyncio.gather(first, second)


async def test_a_tiny_image_does_not_wait_for_large_ones(decoder: Decoder) -> None:
    may_run = threading.Event()

    def slowly(image: Image.Image) -> Tensor:
        assert may_run.wait(patient())
        return size_of(image)

    tasks = [asyncio.create_task(decoder.prepare(PICTURE, slowly)) for _ in range(3)]
    await asyncio.sleep(0)  # a turn of the loop, in which all of them are queued
    tiny = await decoder.prepare(encode(photograph(32, 32)), size_of)
    assert (tiny.width, tiny.height, tiny.format) == (32, 32, "PNG")
    with pytest.raises(UndecodableImageError):
        await decoder.prepare(encode(photograph(32, 32))[:60], size_of)
    text = PngInfo()
    text.add_text("bomb", "a" * 100_000, zip=True)
    with pytest.raises(QueueFullError):  # it has to wait, as large ones do
        await decoder.prepare(encode(photograph(32, 32), pnginfo=text), size_of)
    may_run.set()
    await asyncio.gather(*tasks)


async def test_a_full_queue_refuses_and_a_cancelled_image_makes_room(decoder: Decoder) -> None:
    may_run = threading.Event()
    started: list[Image.Image] = []

    def slowly(image: Image.Image) -> Tensor:
        started.append(image)
        assert may_run.wait(patient())
        return size_of(image)

    tasks = [asyncio.create_task(decoder.prepare(PICTURE, slowly)) for _ in range(3)]
    await asyncio.to_thread(wait_until, lambda: len(started) == 2)
    with pytest.raises(QueueFullError, match="3 images are waiting"):
        await decoder.prepare(PICTURE, slowly)
    tasks[2].cancel()
    await asyncio.sleep(0)
    last = asyncio.create_task(decoder.prepare(PICTURE, slowly))
    await asyncio.sleep(0)
    may_run.set()
    assert [(await task).width for task in (tasks[0], tasks[1], last)] == [64] * 3
    assert len(started) == 3
