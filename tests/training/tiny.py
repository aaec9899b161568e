"""Tiny real data sets and tasks that train in a moment."""

import gzip
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import densenet121

from app.vision.specs import MNIST
from training.augment import Warp
from training.data import find_mnist
from training.examples import Examples
from training.mnist_mlp import TASK
from training.task import Task

_NUDGE = Warp(
    rotation_deg=0,
    shear_deg=0,
    scale=0,
    shift_px=0.2,
    elastic_strength_px=0,
    elastic_smoothness_px=4,
)


def tiles(count: int, seed: int = 0) -> Examples:
    """Ten classes that anything can tell apart: a bright band whose place is the label."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    images = torch.randint(0, 40, (count, 1, 28, 28), dtype=torch.uint8, generator=random)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, 4 + 2 * label : 6 + 2 * label] = 255
    return Examples(images, labels)


def task(epochs: int = 3, patience: int = 100) -> Task:
    """MNIST's task, with a recipe for `tiles`."""
    recipe = replace(
        TASK.recipe, epochs=epochs, batch_size=20, averaging_decay=0.5, patience=patience
    )
    return Task(MNIST, find_mnist, recipe, _NUDGE)


def idx_bytes(values: Tensor) -> bytes:
    """Write uint8 values as an IDX file."""
    header = bytes((0, 0, 8, values.dim())) + struct.pack(f">{values.dim()}I", *values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


def write_mnist(folder: Path, train: Examples, test: Examples, *, packed: bool = True) -> None:
    """Write the four IDX files of MNIST."""
    folder.mkdir(parents=True)
    for prefix, part in (("train", train), ("t10k", test)):
        images, labels = idx_bytes(part.images[:, 0]), idx_bytes(part.labels)
        for name, data in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{prefix}-{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / f"{prefix}-{name}").write_bytes(data)


def write_zip(path: Path, pictures: dict[str, Image.Image]) -> None:
    """Write an archive of JPEG files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in pictures.items():
            data = io.BytesIO()
            picture.save(data, "JPEG", quality=95)
            archive.writestr(name, data.getvalue())


def photographs(count: int, seed: int = 0) -> tuple[list[Image.Image], list[str]]:
    """Cats and dogs that anything can tell apart: reddish and bluish noise, of different sizes."""
    random = np.random.default_rng(seed)
    labels = [("cat", "dog")[index % 2] for index in range(count)]
    pictures = []
    for label in labels:
        height, width = random.integers(40, 60, 2)
        pixels = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        pixels[:, :, 0 if label == "cat" else 2] += 180
        pictures.append(Image.fromarray(pixels))
    return pictures, labels


def write_catdog(folder: Path, train_count: int, test_count: int) -> None:
    """Write `catdog.zip` with such photographs."""
    folder.mkdir(parents=True)
    pictures = {}
    for seed, (part, count) in enumerate((("train", train_count), ("test", test_count))):
        for index, (picture, label) in enumerate(zip(*photographs(count, seed), strict=True)):
            pictures[f"catdog/{part}/{label}/{index:03}.jpg"] = picture
    write_zip(folder / "catdog.zip", pictures)


def backbone_state(seed: int = 0) -> dict[str, Tensor]:
    """A DenseNet-121's weights in torchvision's naming; random, which is enough for colors."""
    torch.manual_seed(seed)
    state: dict[str, Tensor] = densenet121().state_dict()
    return state
