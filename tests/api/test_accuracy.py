"""The served predictions over real test images, against an independent pipeline and the labels."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from app.settings import Settings
from app.vision import checkpoint
from app.vision.specs import CATDOG, CIFAR10, MNIST, InputSpec, ModelSpec
from tests.pictures import encode

pytestmark = pytest.mark.models

_COUNT = 1000
_PER_REQUEST = 50

Labeled = list[tuple[bytes, int]]


@pytest.fixture(scope="module")
def digits(datasets: Path) -> npt.NDArray[np.uint8]:
    raw = gzip.decompress((datasets / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:_COUNT]


@pytest.fixture(scope="module")
def digit_labels(datasets: Path) -> list[int]:
    raw = gzip.decompress((datasets / "mnist/t10k-labels-idx1-ubyte.gz").read_bytes())
    return list(raw[8 : 8 + _COUNT])


@pytest.fixture(scope="module")
def cifar(datasets: Path) -> Labeled:
    """A hundred test images of each class, as the JPEG files they are."""
    with zipfile.ZipFile(datasets / "cifar10.zip") as archive:
        return [
            (archive.read(name), index)
            for index, label in enumerate(CIFAR10.classes)
            for name in sorted(archive.namelist())
            if name.startswith(f"cifar10/test/{label}/") and name.endswith(".jpg")
        ][:: 10_000 // _COUNT]


def served(client: httpx.Client, model: str, images: list[bytes]) -> npt.NDArray[np.float64]:
    """Probabilities (N, classes) from the service."""
    rows = []
    for start in range(0, len(images), _PER_REQUEST):
        files = [("file", image) for image in images[start : start + _PER_REQUEST]]
        response = client.post(f"/classify?model={model}&top_k=10", files=files)
        for result in response.json()["results"]:
            by_index = {each["index"]: each["probability"] for each in result["predictions"]}
            rows.append([by_index[index] for index in range(len(by_index))])
    return np.array(rows)


def independent(
    spec: ModelSpec, transform: v2.Compose, images: list[bytes]
) -> npt.NDArray[np.float64]:
    """Probabilities (N, classes) from torchvision's transforms and the weights as they are."""
    network = spec.build()
    weights = Settings().models_dir / f"{spec.name}.pt"
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    batch = torch.stack([transform(Image.open(io.BytesIO(image))) for image in images])
    with torch.no_grad():
        return torch.softmax(network(batch), dim=1).double().numpy()


def as_tensor(size_px: int, mean: float, std: float, channels: int) -> v2.Compose:
    return v2.Compose(
        [
            v2.Grayscale() if channels == 1 else v2.RGB(),
            v2.Resize(size_px),
            v2.CenterCrop(size_px),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([mean] * channels, [std] * channels),
        ]
    )


def photograph_as_tensor(spec: InputSpec) -> v2.Compose:
    return v2.Compose(
        [
            v2.RGB(),
            v2.Resize(spec.resize_px),
            v2.CenterCrop(spec.width),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(spec.mean, spec.std),
        ]
    )


def shipped_accuracy(name: str) -> float:
    card = json.loads((Settings().models_dir / f"{name}.json").read_text())
    return float(card["test"]["accuracy"])


def test_mnist_as_served(
    client: httpx.Client, digits: npt.NDArray[np.uint8], digit_labels: list[int]
) -> None:
    images = [encode(Image.fromarray(pixels)) for pixels in digits]
    ours = served(client, "mnist", images)
    theirs = independent(MNIST, as_tensor(28, 0.1307, 0.3081, 1), images)
    assert np.abs(ours - theirs).max() < 1e-4
    accuracy = float((ours.argmax(axis=1) == digit_labels).mean())
    assert accuracy == pytest.approx(shipped_accuracy("mnist"), abs=0.01)


def test_cifar10_as_served(client: httpx.Client, cifar: Labeled) -> None:
    images, labels = [image for image, _ in cifar], [label for _, label in cifar]
    ours = served(client, "cifar10", images)
    theirs = independent(CIFAR10, as_tensor(32, 0.5, 0.5, 3), images)
    assert np.abs(ours - theirs).max() < 1e-4
    accuracy = float((ours.argmax(axis=1) == labels).mean())
    assert accuracy == pytest.approx(shipped_accuracy("cifar10"), abs=0.035)


def test_catdog_as_served(client: httpx.Client, datasets: Path) -> None:
    with zipfile.ZipFile(datasets / "catdog.zip") as archive:
        names = [name for name in archive.namelist() if "/test/" in name and name.endswith(".jpg")]
        images = [archive.read(name) for name in names][::10]
    labels = [CATDOG.classes.index(name.split("/")[-2]) for name in names][::10]
    spec = checkpoint.load_card("catdog", Settings().models_dir).spec
    ours = served(client, "catdog", images)
    theirs = independent(spec, photograph_as_tensor(spec.input), images)
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()
    assert np.abs(ours - theirs).max() < 0.01  # pixels differ by 2 levels at most
    accuracy = float((ours.argmax(axis=1) == labels).mean())
    assert accuracy == pytest.approx(shipped_accuracy("catdog"), abs=0.06)


def test_pen_on_paper_is_read_as_well_as_mnist_itself(
    client: httpx.Client, digits: npt.NDArray[np.uint8], digit_labels: list[int]
) -> None:
    random = np.random.default_rng(0)
    photographs = []
    for pixels in digits:
        side_px = int(random.integers(120, 400))
        ink = Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BICUBIC)
        paper = Image.new("L", (640, 480))
        paper.paste(ink, (int(random.integers(640 - side_px)), int(random.integers(480 - side_px))))
        photographs.append(encode(ImageOps.invert(paper), "JPEG", quality=75))
    plain = served(client, "mnist", [encode(Image.fromarray(pixels)) for pixels in digits])
    drawn = served(client, "mnist", photographs)
    plain_accuracy = (plain.argmax(axis=1) == digit_labels).mean()
    drawn_accuracy = (drawn.argmax(axis=1) == digit_labels).mean()
    assert drawn_accuracy >= plain_accuracy - 0.02
