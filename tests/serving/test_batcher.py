import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from app.metrics import Metrics
from app.serving.batcher import Batcher, BatchLimits
from app.serving.errors import InferenceError, QueueFullError
from tests.patience import patient


class DoublingModel:
    """A model that doubles its inputs, one batch at a time, when it is released."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.may_run = threading.Event()
        self.may_run.set()

    def __call__(self, pictures: Sequence[Tensor]) -> Tensor:
        assert self.may_run.wait(patient())
        batch = torch.stack(list(pictures))
        self.batches.append(batch.tolist())
        if (batch < 0).any():
            raise ValueError("negative")
        return batch * 2


@pytest.fixture
def model() -> DoublingModel:
    return DoublingModel()


@pytest.fixture
async def batcher(model: DoublingModel) -> AsyncIterator[Batcher]:
    with ThreadPoolExecutor(1) as thread:
        yield Batcher("doubling", model, thread, Metrics(), BatchLimits(4, 6, max_wait_s=60))
        model.may_run.set()


async def submit_all(
    batcher: Batcher, values: Sequence[float], flow: str = "ann"
) -> list[asyncio.Task[Tensor]]:
    """Submit images until all of them are waiting or in a batch."""
    tasks = [asyncio.create_task(batcher.submit(torch.tensor(value), flow)) for value in values]
    for _ in range(3):  # loop iterations: submit, start a batch, hand it over
        await asyncio.sleep(0)
    return tasks


async def test_idle_model_runs_at_once(batcher: Batcher, model: DoublingModel) -> None:
    assert (await batcher.submit(torch.tensor(3.0), "ann")).item() == 6.0
    assert (await batcher.submit(torch.tensor(4.0), "ann")).item() == 8.0
    assert model.batches == [[3.0], [4.0]]


async def test_requests_accumulate_while_the_model_is_busy(
    batcher: Batcher, model: DoublingModel
) -> None:
    model.may_run.clear()
    first = await submit_all(batcher, [1.0])
    rest = await submit_all(batcher, [2.0, 3.0, 4.0, 5.0, 6.0])
    model.may_run.set()
    answers = [(await task).item() for task in first + rest]
    assert answers == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert model.batches == [[1.0], [2.0, 3.0, 4.0, 5.0], [6.0]]


async def test_full_queue_refuses_images(batcher: Batcher, model: DoublingModel) -> None:
    model.may_run.clear()
    tasks = await submit_all(batcher, [1.0])
    tasks += await submit_all(batcher, [2.0] * 6)
    with pytest.raises(QueueFullError, match="6 images are waiting"):
        await batcher.submit(torch.tensor(9.0), "ann")
    model.may_run.set()
    assert sum([(await task).item() for task in tasks]) == 2.0 + 6 * 4.0
    assert (await batcher.submit(torch.tensor(9.0), "ann")).item() == 18.0


async def test_callers_take_turns_in_batches(batcher: Batcher, model: DoublingModel) -> None:
    model.may_run.clear()
    tasks = await submit_all(batcher, [1.0])
    tasks += await submit_all(batcher, [1.0] * 5)
    tasks += await submit_all(batcher, [2.0], "bob")
    model.may_run.set()
    assert [(await task).item() for task in tasks] == [2.0] * 6 + [4.0]
    assert 2.0 in model.batches[1][:2]


async def test_images_of_the_longest_caller_are_evicted(
    batcher: Batcher, model: DoublingModel
) -> None:
    model.may_run.clear()
    tasks = await submit_all(batcher, [1.0])
    tasks += await submit_all(batcher, [1.0] * 6)
    others = await submit_all(batcher, [2.0], "bob")
    assert tasks[-1].done()
    with pytest.raises(QueueFullError, match="6 images are waiting"):
        await tasks[-1]
    with pytest.raises(QueueFullError, match="6 images are waiting"):
        await batcher.submit(torch.tensor(1.0), "ann")
    model.may_run.set()
    assert [(await task).item() for task in tasks[:-1] + others] == [2.0] * 6 + [4.0]


async def test_image_of_a_disconnected_client_is_not_computed(
    batcher: Batcher, model: DoublingModel
) -> None:
    model.may_run.clear()
    first = await submit_all(batcher, [1.0])
    gone, stays = await submit_all(batcher, [2.0, 3.0])
    gone.cancel()
    others = await submit_all(batcher, [4.0] * 5)  # there is room for one more
    model.may_run.set()
    assert (await first[0]).item() == 2.0
    assert (await stays).item() == 6.0
    assert [(await other).item() for other in others] == [8.0] * 5
    assert model.batches == [[1.0], [3.0, 4.0, 4.0, 4.0], [4.0, 4.0]]


async def test_image_is_refused_if_the_expected_wait_is_too_long(model: DoublingModel) -> None:
    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher("slow", model, thread, Metrics(), BatchLimits(1, 100, max_wait_s=0.01))
        model.may_run.clear()
        tasks = await submit_all(batcher, [1.0])
        await asyncio.sleep(0.2)
        model.may_run.set()
        await tasks[0]
        model.may_run.clear()
        tasks += await submit_all(batcher, [2.0])
        tasks += await submit_all(batcher, [3.0])
        with pytest.raises(
            QueueFullError, match="1 images are waiting for the model 'slow'"
        ) as refusal:
            await batcher.submit(torch.tensor(4.0), "ann")
        assert refusal.value.retry_after_s == 1
        model.may_run.set()
        assert [(await task).item() for task in tasks] == [2.0, 4.0, 6.0]


async def test_batch_fails_if_the_model_returns_too_few_rows() -> None:
    with ThreadPoolExecutor(1) as thread:
        limits = BatchLimits(4, 6, max_wait_s=60)
        batcher = Batcher("short", lambda _: torch.zeros(0, 2), thread, Metrics(), limits)
        with pytest.raises(InferenceError, match="ValueError"):
            await batcher.submit(torch.tensor(1.0), "ann")


async def test_failed_batch_does_not_affect_the_next_batch(
    batcher: Batcher, model: DoublingModel
) -> None:
    model.may_run.clear()
    first = await submit_all(batcher, [1.0])
    failing = await submit_all(batcher, [2.0, -1.0, 3.0, 4.0])
    after = await submit_all(batcher, [5.0])
    model.may_run.set()
    for task in failing:
        with pytest.raises(InferenceError, match="ValueError"):
            await task
    assert [(await task).item() for task in first + after] == [2.0, 10.0]


async def test_two_models_on_one_thread_do_not_starve_each_other() -> None:
    model = DoublingModel()
    with ThreadPoolExecutor(1) as thread:
        limits = BatchLimits(1, 100, max_wait_s=60)
        one, two = (Batcher(name, model, thread, Metrics(), limits) for name in ("one", "two"))
        model.may_run.clear()
        tasks = await submit_all(one, [1.0] * 20)
        tasks += await submit_all(two, [2.0] * 2)
        model.may_run.set()
        await asyncio.gather(*tasks)
    order = [batch[0] for batch in model.batches]
    assert order.index(2.0) <= 2
    assert len(order) - order[::-1].index(2.0) <= 5
