import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, MNIST

from app.vision import specs
from app.vision.preprocess import preprocess
from tests.training.tiny import idx_bytes, tiles, write_catdog, write_mnist, write_zip
from training.data import (
    DatasetError,
    Part,
    find_catdog,
    find_cifar10,
    find_mnist,
    read_catdog_photographs,
)
from training.examples import spaced

_NOBODY_LISTENS = "http://127.0.0.1:9/"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("place", "packed"), [("mnist", True), ("mnist", False), ("MNIST/raw", False)]
)
def test_mnist_is_read_from_idx_files(tmp_path: Path, place: str, packed: bool) -> None:
    train, test = tiles(30), tiles(20, seed=1)
    write_mnist(tmp_path / place, train, test, packed=packed)
    source = find_mnist(tmp_path)
    for part, expected in ((Part.TRAIN, train), (Part.TEST, test)):
        read = source.read(part, None)
        assert torch.equal(read.images, expected.images)
        assert torch.equal(read.labels, expected.labels)
        assert (read.images.dtype, read.labels.dtype) == (torch.uint8, torch.int64)


def test_a_limit_takes_evenly_spaced_examples(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", tiles(30), tiles(10))
    assert find_mnist(tmp_path).read(Part.TRAIN, 10).labels.tolist() == [
        0,
        3,
        6,
        9,
        2,
        5,
        8,
        1,
        4,
        7,
    ]
    assert spaced(4, None).tolist() == spaced(4, 9).tolist() == [0, 1, 2, 3]
    assert spaced(7, 3).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not an IDX file"),
        (b"<html>", "not an IDX file"),
        (bytes((0, 0, 8, 3, 0, 0)), "is cut short"),
        (idx_bytes(tiles(30).images[:, 0])[:-1], "does not hold the 23,520 values"),
        (idx_bytes(tiles(29).images[:, 0]), "do not belong together"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    write_mnist(tmp_path / "mnist", tiles(30), tiles(10))
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    with pytest.raises(DatasetError, match=complaint):
        find_mnist(tmp_path).read(Part.TRAIN, None)


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", tiles(30), tiles(10))
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="mnist cannot be used"):
        find_mnist(tmp_path).read(Part.TEST, None)


def test_cifar10_is_read_from_the_zip_of_jpegs(tmp_path: Path) -> None:
    colors = {"airplane": (200, 10, 10), "cat": (10, 200, 10), "truck": (10, 10, 200)}
    write_zip(
        tmp_path / "cifar10.zip",
        {
            f"cifar10/{part}/{name}/{n}.jpg": Image.new("RGB", (32, 32), color)
            for part, count in (("train", 2), ("test", 1))
            for name, color in colors.items()
            for n in range(count)
        },
    )
    source = find_cifar10(tmp_path)
    train, test = source.read(Part.TRAIN, None), source.read(Part.TEST, None)
    assert "JPEG" in source.description
    assert train.images.shape == (6, 3, 32, 32)
    assert train.labels.tolist() == [0, 0, 3, 3, 9, 9]
    assert test.labels.tolist() == [0, 3, 9]
    assert test.images.argmax(dim=1)[:, 0, 0].tolist() == [0, 1, 2]
    assert source.read(Part.TRAIN, 3).labels.tolist() == [0, 3, 9]


def test_photographs_of_any_size_are_brought_to_the_input(tmp_path: Path) -> None:
    write_catdog(tmp_path / "data", 6, 4)
    picture = specs.CATDOG.input.sized(32)
    source = find_catdog(tmp_path / "data", picture)
    train = source.read(Part.TRAIN, None)
    assert train.images.shape == (6, 3, 32, 32)
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.images.float().mean(dim=(2, 3)).argmax(dim=1).tolist() == [0, 0, 0, 2, 2, 2]
    assert source.read(Part.TEST, 2).labels.tolist() == [0, 1]
    images, labels = read_catdog_photographs(tmp_path / "data", Part.TRAIN, None)
    assert torch.equal(labels, train.labels)
    for image, pixels in zip(images, train.images, strict=True):
        assert torch.equal(preprocess(image, picture), pixels)


def test_without_photographs_the_message_says_what_to_do(tmp_path: Path) -> None:
    for find in (
        lambda: find_catdog(tmp_path, specs.CATDOG.input),
        lambda: read_catdog_photographs(tmp_path, Part.TRAIN, None),
    ):
        with pytest.raises(DatasetError, match=r"catdog\.zip is not in .*--data-dir"):
            find()


@pytest.mark.parametrize(
    ("pictures", "complaint"),
    [
        ({"cifar10/test/cat/0.jpg": 32}, "no images at"),
        ({"cifar10/train/cow/0.jpg": 32}, "unknown classes: cow"),
        ({"cifar10/train/cat/0.jpg": 32, "cifar10/train/cat/1.jpg": 16}, "different sizes"),
    ],
)
def test_an_unsuitable_zip_is_refused(
    tmp_path: Path, pictures: dict[str, int], complaint: str
) -> None:
    write_zip(
        tmp_path / "cifar10.zip",
        {name: Image.new("RGB", (side, side)) for name, side in pictures.items()},
    )
    with pytest.raises(DatasetError, match=complaint):
        find_cifar10(tmp_path).read(Part.TRAIN, None)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar10.zip").write_bytes(b"not a zip")
    with pytest.raises(DatasetError, match=r"cifar10\.zip cannot be used"):
        find_cifar10(tmp_path).read(Part.TRAIN, None)


def test_without_data_and_network_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [_NOBODY_LISTENS])
    monkeypatch.setattr(CIFAR10, "url", f"{_NOBODY_LISTENS}cifar.tar.gz")
    for find in (find_mnist, find_cifar10):
        with pytest.raises(DatasetError, match="could not be downloaded") as caught:
            find(tmp_path).read(Part.TRAIN, None)
        assert "--data-dir" in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_mnist_is_downloaded(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = mirror
    write_mnist(folder / "files", tiles(30), tiles(10))
    packed = sorted((folder / "files").iterdir())
    resources = [(path.name, _md5(path.read_bytes())) for path in packed]
    monkeypatch.setattr(MNIST, "mirrors", [f"{address}files/"])
    monkeypatch.setattr(MNIST, "resources", resources)
    read = find_mnist(tmp_path).read(Part.TRAIN, None)
    assert torch.equal(read.images, tiles(30).images)
    assert torch.equal(read.labels, tiles(30).labels)


def test_cifar10_is_downloaded_once_and_then_found(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = mirror
    pixels = np.arange(20 * 3072, dtype=np.uint64).astype(np.uint8).reshape(20, 3072)
    batch = pickle.dumps({"data": pixels, "labels": [n % 10 for n in range(20)]})
    meta = pickle.dumps({"label_names": list(specs.CIFAR10.classes)})
    archive = folder / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in (("train", batch), ("test", batch), ("meta", meta)):
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(CIFAR10, "url", f"{address}{archive.name}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", _md5(archive.read_bytes()))
    monkeypatch.setattr(CIFAR10, "train_list", [["train", _md5(batch)]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test", _md5(batch)]])
    names = {"filename": "meta", "key": "label_names", "md5": _md5(meta)}
    monkeypatch.setattr(CIFAR10, "meta", names)
    read = find_cifar10(tmp_path).read(Part.TRAIN, None)
    assert torch.equal(read.images, torch.from_numpy(pixels).view(20, 3, 32, 32))
    assert read.labels.tolist() == [n % 10 for n in range(20)]
    monkeypatch.setattr(CIFAR10, "url", _NOBODY_LISTENS)
    assert len(find_cifar10(tmp_path).read(Part.TEST, 5)) == 5


def test_the_real_data_sets_are_whole(datasets: Path) -> None:
    mnist = find_mnist(datasets).read(Part.TRAIN, None)
    assert mnist.images.shape == (60_000, 1, 28, 28)
    assert mnist.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert find_mnist(datasets).read(Part.TEST, None).images.shape == (10_000, 1, 28, 28)
    cifar10 = find_cifar10(datasets).read(Part.TEST, 200)
    assert cifar10.images.shape == (200, 3, 32, 32)
    assert cifar10.labels.bincount().tolist() == [20] * 10
    catdog = find_catdog(datasets, specs.CATDOG.input).read(Part.TEST, 50)
    assert catdog.labels.bincount().tolist() == [25, 25]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
