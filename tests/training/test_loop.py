from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from app.vision.device import supports_bfloat16
from app.vision.scores import score
from app.vision.specs import MNIST
from tests.training.tiny import task, tiles
from training.augment import Augmentation, ShiftAndFlip
from training.averaging import AveragedWeights
from training.cifar_cnn import TASK as CIFAR10_TASK
from training.examples import Examples
from training.loop import BatchDone, DivergedError, Trainer, Validated, predict
from training.splits import Split, split
from training.task import Task

_CPU = torch.device("cpu")
_SGD = replace(CIFAR10_TASK.recipe, epochs=4, batch_size=20, averaging_decay=0.5)


def _epochs(trainer: Trainer) -> list[Validated]:
    return [event for event in trainer.run() if isinstance(event, Validated)]


def _hopeless(count: int = 100) -> Split:
    """Nothing to learn: the validation loss falls to that of guessing and rises from there."""
    examples = tiles(count)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return split(Examples(examples.images, examples.labels[shuffled]), seed=0)


def _photographs() -> Split:
    images = torch.randint(
        0, 256, (60, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return split(Examples(images, torch.arange(60) % 10), seed=0)


def _same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_separable_problem_is_learnt_exactly(device: torch.device) -> None:
    trainer = Trainer(task(epochs=8), split(tiles(400), seed=0), device, seed=0)
    done = _epochs(trainer)
    assert done[-1].accuracy == 1.0
    unseen = tiles(100, seed=9).to(device)
    outputs = predict(trainer.best(), unseen.images, MNIST.input)
    assert (outputs.argmax(dim=1) == unseen.labels).all()
    assert outputs.dtype == torch.float32


def test_events_come_in_order_and_are_numbered() -> None:
    trainer = Trainer(task(epochs=2), split(tiles(100), seed=0), _CPU, seed=0)
    events = list(trainer.run())
    assert [type(event) for event in events] == ([BatchDone] * 4 + [Validated]) * 2
    batches = [event for event in events if isinstance(event, BatchDone)]
    assert [done.batch for done in batches] == [1, 2, 3, 4] * 2
    assert {done.batch_count for done in batches} == {4}
    assert [done.epoch for done in trainer.history] == [1, 2]
    assert [done.step for done in trainer.history] == [4, 8]
    assert trainer.epochs_run == 2


def test_validation_within_an_epoch_changes_nothing_else() -> None:
    data = split(tiles(100), seed=0)
    often = task(epochs=2)
    often = replace(often, recipe=replace(often.recipe, print_every=3))
    plain, watched = (Trainer(each, data, _CPU, seed=0) for each in (task(epochs=2), often))
    _epochs(plain)
    events = list(watched.run())
    assert [type(event) for event in events] == [
        *[BatchDone] * 3,
        Validated,
        BatchDone,
        Validated,
        *[BatchDone] * 2,
        Validated,
        *[BatchDone] * 2,
        Validated,
    ]
    seen = [(done.epoch, done.step, done.complete) for done in watched.history]
    assert seen == [(1, 3, False), (1, 4, True), (2, 6, False), (2, 8, True)]
    assert watched.epochs_run == 2
    ends = [done.validation_loss for done in watched.history if done.complete]
    assert ends == [done.validation_loss for done in plain.history]
    first, last = watched.history[:2]
    assert (3 * first.training_loss + last.training_loss) / 4 == pytest.approx(
        plain.history[0].training_loss
    )


def test_the_best_epoch_is_kept_and_restored() -> None:
    data = _hopeless()
    trainer = Trainer(task(epochs=12), data, _CPU, seed=0)
    done = _epochs(trainer)
    best = min(done, key=lambda one: one.validation_loss)
    assert trainer.best_epoch == best.epoch < 12
    outputs = predict(trainer.best(), data.validation.images, MNIST.input)
    scores = score(outputs, data.validation.labels, MNIST.classes)
    assert scores.loss == pytest.approx(best.validation_loss, abs=1e-5)
    assert done[-1].validation_loss > best.validation_loss + 0.05


def test_patience_counts_in_the_last_third_only() -> None:
    trainer = Trainer(task(epochs=12, patience=2), _hopeless(), _CPU, seed=0)
    assert len(_epochs(trainer)) == 8 + 2
    assert trainer.best_epoch <= 8
    assert trainer.finished


def test_without_patience_running_out_the_schedule_is_completed() -> None:
    trainer = Trainer(task(epochs=9, patience=4), _hopeless(), _CPU, seed=0)
    assert len(_epochs(trainer)) == 9


@pytest.mark.parametrize("stop_after", [1, 3])
@pytest.mark.parametrize(
    ("one_task", "data"),
    [
        (task(epochs=4), split(tiles(100), seed=0)),
        (replace(CIFAR10_TASK, recipe=_SGD), _photographs()),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(
    one_task: Task, data: Split, stop_after: int
) -> None:
    whole = Trainer(one_task, data, _CPU, seed=5)
    _epochs(whole)
    first = Trainer(one_task, data, _CPU, seed=5)
    events = first.run()
    while len(first.history) < stop_after:
        next(events)
    state = first.state_dict()
    torch.manual_seed(12345)
    second = Trainer(one_task, data, _CPU, seed=5)
    second.load_state_dict(state)
    _epochs(second)
    assert _same(whole.best(), second.best())
    assert whole.history == second.history
    _assert_equal(whole.state_dict(), second.state_dict())


def test_the_seed_decides() -> None:
    data = split(tiles(100), seed=0)
    first, again, other = (Trainer(task(), data, _CPU, seed) for seed in (1, 1, 2))
    for trainer in (first, again, other):
        _epochs(trainer)
    assert _same(first.best(), again.best())
    assert not _same(first.best(), other.best())


def test_validation_images_are_not_augmented() -> None:
    seen: list[Tensor] = []

    class Recording(Augmentation):
        def __call__(self, images: Tensor) -> Tensor:
            seen.append(images.clone())
            return torch.zeros_like(images)

    data = split(tiles(100), seed=0)
    trainer = Trainer(replace(task(epochs=1), augment=Recording()), data, _CPU, seed=0)
    (done,) = _epochs(trainer)
    shown = {image.numpy().tobytes() for batch in seen for image in batch}
    assert shown == {image.numpy().tobytes() for image in data.train.images}
    outputs = predict(trainer.best(), data.validation.images, MNIST.input)
    scores = score(outputs, data.validation.labels, MNIST.classes)
    assert done.validation_loss == pytest.approx(scores.loss, abs=1e-5)


def test_a_diverged_run_says_so() -> None:
    wild = replace(task().recipe, optimizer="sgd", learning_rate=1e30)
    trainer = Trainer(replace(task(), recipe=wild), split(tiles(100), seed=0), _CPU, seed=0)
    with pytest.raises(DivergedError, match="--learning-rate"):
        _epochs(trainer)


def test_a_data_set_smaller_than_a_batch_is_one_batch() -> None:
    trainer = Trainer(task(epochs=1), split(tiles(10), seed=0), _CPU, seed=0)
    assert len(list(trainer.run())) == 2


def test_training_leaves_the_defaults_of_the_kept_network() -> None:
    augment = ShiftAndFlip(shift_px=1)
    one_task = replace(CIFAR10_TASK, recipe=replace(CIFAR10_TASK.recipe, epochs=1), augment=augment)
    trainer = Trainer(one_task, _photographs(), _CPU, seed=0)
    _epochs(trainer)
    network = trainer.best()
    assert not network.training
    assert all(weights.is_contiguous() for weights in network.state_dict().values())
    assert {weights.dtype for weights in network.state_dict().values()} == {torch.float32}
    expected = "bfloat16 autocast" if supports_bfloat16(_CPU) else "float32"
    assert trainer.precision == expected


def test_averages_of_weights_and_buffers_follow_the_network() -> None:
    network = nn.BatchNorm1d(1)
    averaged = AveragedWeights(network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(11)
        assert network.num_batches_tracked is not None
        network.num_batches_tracked.fill_(4)
    averaged.update(network, step=1)
    state: dict[str, Any] = averaged.network.state_dict()
    assert state["weight"].item() == pytest.approx(1 + 10 * (1 - 2 / 11))
    assert state["num_batches_tracked"].item() == 4
    for step in range(2, 2000):
        averaged.update(network, step)
    assert state["weight"].item() == pytest.approx(11)
    assert not averaged.network.training


def _assert_equal(first: object, second: object) -> None:
    if isinstance(first, dict) and isinstance(second, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - {"seconds"}:
            _assert_equal(first[key], second[key])
    elif isinstance(first, Tensor) and isinstance(second, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, list) and isinstance(second, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            _assert_equal(one, other)
    else:
        assert first == second
