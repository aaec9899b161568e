"""Sources of the data sets.

    folder --find_mnist, find_cifar10, find_catdog--> Source --read--> Examples     DatasetError

They are read from the archives in the data folder or, without archives, by torchvision, which finds
its own files there or downloads them (but not cats and dogs).
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

from app.errors import AtelierError
from app.vision.errors import ImageError
from app.vision.preprocess import preprocess
from app.vision.specs import CATDOG, CIFAR10, InputSpec
from training import idx, zipped
from training.examples import Examples, spaced


class DatasetError(AtelierError):
    """A data set is missing, cannot be downloaded, or is malformed."""


class Part(StrEnum):
    """The official parts of a data set."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True)
class Source:
    """The source of a data set.

    `read` returns a whole part or, with a limit, that many evenly spaced examples of it. It raises
    DatasetError if the data is damaged or cannot be downloaded.
    """

    description: str
    read: Callable[[Part, int | None], Examples]


def find_mnist(folder: Path) -> Source:
    """Find MNIST's IDX files, compressed or not, in `folder`; otherwise use torchvision."""
    for place in (folder / "mnist", folder / "MNIST" / "raw"):
        train, test = (idx.find(place, prefix) for prefix in ("train", "t10k"))
        if train and test:
            break
    else:
        return _from_torchvision("MNIST", folder, "mnist/*.gz")
    files = {Part.TRAIN: train, Part.TEST: test}

    def read(part: Part, limit: int | None) -> Examples:
        with _explained(place):
            images, labels = (idx.read(path) for path in files[part])
            if images.dim() != 3 or labels.shape != images.shape[:1]:
                raise ValueError("the images and labels do not belong together")
            return Examples(images.unsqueeze(1), labels.long())[spaced(len(labels), limit)]

    return Source("MNIST, the original IDX files", read)


def find_cifar10(folder: Path) -> Source:
    """Find the JPEG copy `cifar10.zip` in `folder`; otherwise use torchvision."""
    archive = folder / "cifar10.zip"
    if not archive.exists():
        return _from_torchvision("CIFAR10", folder, archive.name)

    def read(part: Part, limit: int | None) -> Examples:
        with _explained(archive):
            return zipped.read(archive, part, CIFAR10.classes, limit)

    return Source("CIFAR-10, a JPEG copy (cifar10.zip)", read)


def find_catdog(folder: Path, picture: InputSpec) -> Source:
    """Find `catdog.zip` in `folder`; photographs of any size are preprocessed as when served.

    Raises:
        DatasetError: there is no such archive.
    """
    archive = _catdog_archive(folder)

    def read(part: Part, limit: int | None) -> Examples:
        with _explained(archive):
            found = zipped.photographs(archive, part, CATDOG.classes, limit)
            images, labels = zip(
                *((preprocess(image, picture), label) for image, label in found), strict=True
            )
        return Examples(torch.stack(images), torch.tensor(labels))

    return Source("photographs of cats and dogs (catdog.zip)", read)


def read_catdog_photographs(
    folder: Path, part: Part, limit: int | None
) -> tuple[list[Image.Image], Tensor]:
    """Read the original photographs, RGB, in the order of `find_catdog`; labels int64 (N,).

    Raises:
        DatasetError: they are missing or damaged.
    """
    archive = _catdog_archive(folder)
    with _explained(archive):
        images, labels = zip(*zipped.photographs(archive, part, CATDOG.classes, limit), strict=True)
    return list(images), torch.tensor(labels)


def _catdog_archive(folder: Path) -> Path:
    archive = folder / "catdog.zip"
    if not archive.exists():
        raise DatasetError(
            f"{archive.name} is not in {folder}. Put an archive there with photographs as "
            "catdog/{train,test}/{cat,dog}/NAME.jpg, or name its folder with --data-dir or "
            "ATELIER_DATASETS."
        )
    return archive


def _from_torchvision(name: str, folder: Path, archive: str) -> Source:
    def read(part: Part, limit: int | None) -> Examples:
        try:
            found = getattr(datasets, name)(folder, train=part is Part.TRAIN, download=True)
        except (OSError, RuntimeError) as error:
            raise DatasetError(
                f"{name} is not in {folder} ({archive} or torchvision's own files) and could not "
                f"be downloaded there: {error}\n"
                "Put it there, or name its folder with --data-dir or ATELIER_DATASETS."
            ) from error
        images = torch.as_tensor(found.data)
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
        chosen = spaced(len(images), limit)
        return Examples(images.contiguous(), torch.as_tensor(found.targets))[chosen]

    return Source(f"{name}, downloaded by torchvision", read)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, ImageError) as error:
        raise DatasetError(f"{place} cannot be used: {error}") from error
