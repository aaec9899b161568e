from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from training.cifar_cnn import TASK as CIFAR10_TASK
from training.mnist_mlp import TASK as MNIST_TASK


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"optimizer": "lion"},
        {"schedule": "cosine"},
        {"print_every": -1},
        {"loss": "mse"},
        {"loss": "nll", "label_smoothing": 0.1},
        {"warmup": 1.0},
        {"averaging_decay": -0.1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
    ],
)
def test_invalid_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown|needs"):
        replace(CIFAR10_TASK.recipe, **change)


def test_a_constant_schedule_stays_at_its_peak() -> None:
    recipe = replace(MNIST_TASK.recipe, optimizer="adam", schedule="constant", epochs=3)
    built = recipe.build_optimizer(nn.Linear(2, 2))
    assert type(built) is torch.optim.Adam
    schedule = recipe.build_schedule(built, steps_per_epoch=4)
    for _ in range(12):
        assert schedule.get_last_lr() == [recipe.learning_rate]
        built.step()
        schedule.step()


def test_networks_are_trained_with_the_loss_that_fits_their_output() -> None:
    assert isinstance(MNIST_TASK.recipe.build_loss(), nn.NLLLoss)
    assert isinstance(CIFAR10_TASK.recipe.build_loss(), nn.CrossEntropyLoss)


@pytest.mark.parametrize("epochs", [1, 2, 3, 30])
@pytest.mark.parametrize("steps_per_epoch", [1, 10])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_schedule_ends_near_zero(
    epochs: int, steps_per_epoch: int, optimizer: str, warmup: float
) -> None:
    recipe = replace(CIFAR10_TASK.recipe, epochs=epochs, optimizer=optimizer, warmup=warmup)
    built = recipe.build_optimizer(nn.Linear(2, 2))
    schedule = recipe.build_schedule(built, steps_per_epoch)
    rates = []
    for _ in range(epochs * steps_per_epoch):
        rates.append(schedule.get_last_lr()[0])
        built.step()
        schedule.step()
    assert max(rates) <= recipe.learning_rate * 1.0001
    if len(rates) >= 30:
        assert max(rates) == pytest.approx(recipe.learning_rate, rel=0.05)
        assert rates[-1] < recipe.learning_rate / 50
    assert torch.tensor(rates).isfinite().all()
