from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.vision.preprocess import normalize
from app.vision.specs import CIFAR10, MNIST, ModelSpec
from tests.training.tiny import tiles
from training import figures

_GREEN, _RED = (0, 128, 0), (255, 0, 0)


def _colors(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    return set(map(tuple, np.unique(pixels, axis=0).tolist()))


@pytest.mark.parametrize("spec", [MNIST, CIFAR10])
def test_unnormalise_is_the_inverse_of_normalize(spec: ModelSpec) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    images = levels.expand(2, spec.input.channels, 16, 16)
    assert torch.equal(figures.unnormalize(normalize(images, spec.input), spec.input), images)


def test_loss_curves_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    figures.loss_curves([0.5, 1, 2], [2.0, 1.0, 0.5], [1.5, 0.9, 1.1], path)
    assert len(_colors(path)) > 10


@pytest.mark.parametrize(("off_by", "there", "absent"), [(0, _GREEN, _RED), (1, _RED, _GREEN)])
def test_right_predictions_are_titled_green_and_wrong_ones_red(
    tmp_path: Path, off_by: int, there: tuple[int, ...], absent: tuple[int, ...]
) -> None:
    examples, path = tiles(10), tmp_path / "predictions.png"
    figures.predictions(examples, (examples.labels + off_by) % 10, MNIST.classes, path)
    assert there in _colors(path)
    assert absent not in _colors(path)


def test_training_images_are_drawn_as_they_were(tmp_path: Path) -> None:
    orange = torch.tensor([250, 120, 10], dtype=torch.uint8).view(1, 3, 1, 1)
    batch = normalize(orange.expand(3, 3, 32, 32), CIFAR10.input)
    path = tmp_path / "training.png"
    figures.training_images(batch, torch.tensor([0, 1, 2]), CIFAR10, path)
    assert (250, 120, 10) in _colors(path)


def test_a_confusion_matrix_with_an_empty_row_is_drawn(tmp_path: Path) -> None:
    confusion = torch.tensor([[5, 1, 0], [0, 0, 0], [2, 2, 9]])
    figures.confusion_matrix(confusion, ("cat", "cow", "dog"), tmp_path / "confusion.png")
    assert len(_colors(tmp_path / "confusion.png")) > 10


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (3, 60, 5)])
def test_channels_are_drawn_side_by_side(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    path = tmp_path / "channels.png"
    figures.channels(torch.randint(0, 256, shape, dtype=torch.uint8), path)
    with Image.open(path) as picture:
        width, height = picture.size
    assert (width > 2 * height) == (shape[0] == 3)
