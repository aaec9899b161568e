"""The difference between served predictions and float32 PyTorch on fully decoded pictures.

    python -m benchmarks.parity [--engine auto] [--limit 1000]

For each model, on its real test images: whether the engine that is chosen names the same
class, and the largest difference of a probability. For photographs, the same after enlarging them,
so that they are scaled while they are decoded, as large ones are.
"""

import argparse
import io
import os
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from PIL import Image

from app.engines.engine import Engine
from app.engines.options import EngineOptions, Preference
from app.engines.pytorch import ReferenceEngine
from app.engines.selection import select_engine
from app.evaluation.sources import ImageArchive
from app.limits import ArchiveLimits, ImageLimits
from app.vision.classifier import Classifier
from app.vision.images import EncodedImage, read_header
from training.data import Part, find_mnist

ROOT = Path(__file__).parents[1]
_BATCH = 32
_LARGE_PX = 1400
_LARGE_COUNT = 1000


def main() -> None:
    """Compare all models, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("ATELIER_DATASETS", "data"))
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    parser.add_argument("--engine", choices=get_args(Preference), default="auto")
    parser.add_argument("--limit", type=int, help="only so many images of each test set")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        options = EngineOptions(
            args.engine,
            threads=os.cpu_count() or 1,
            compiled=False,
            cache=Path(cache),
            models=args.models_dir,
        )
        for name in ("mnist", "cifar10", "catdog"):
            classifier = Classifier.load(name, args.models_dir, torch.device("cpu"))
            engine = select_engine(classifier, options).engine
            files = encoded_tests(name, args.data_dir)[: args.limit]
            print(f"{name}, {engine.kind}: {compare(classifier, engine, files)}", flush=True)
            if classifier.card.spec.input.min_side_px:
                large = [enlarged(file) for file in files[:_LARGE_COUNT]]
                print(f"  enlarged: {compare(classifier, engine, large)}", flush=True)


@dataclass(frozen=True)
class Parity:
    """For how many of `count` files the same class came first; the largest difference, 0..1."""

    count: int
    same: int
    largest: float

    def __str__(self) -> str:
        """Show all of it in one line."""
        return (
            f"the same class for {self.same:,} of {self.count:,} ({self.same / self.count:.2%}), "
            f"probabilities within {self.largest:.4f}"
        )


def compare(classifier: Classifier, engine: Engine, files: Sequence[bytes]) -> Parity:
    """Compare what an engine answers with float32 PyTorch, and decoding as served with full."""
    reference, min_side_px = ReferenceEngine(classifier), classifier.card.spec.input.min_side_px
    same, largest = 0, 0.0
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        exact = [classifier.preprocess(_opened(file).decode()) for file in batch]
        served = [
            classifier.preprocess(_opened(file).decode(min_side_px=min_side_px)) for file in batch
        ]
        expected, answers = reference.probabilities(exact), engine.probabilities(served)
        same += int((expected.argmax(dim=1) == answers.argmax(dim=1)).sum())
        largest = max(largest, (expected - answers).abs().max().item())
    return Parity(len(files), same, largest)


def encoded_tests(name: str, folder: Path) -> list[bytes]:
    """Return the encoded test images, in an order that is random but always the same."""
    if name == "mnist":
        images = find_mnist(folder).read(Part.TEST, None).images
        files = [_encoded(Image.fromarray(image[0].numpy()), "PNG") for image in images]
    else:
        limits = ImageLimits()
        with ImageArchive(folder / f"{name}.zip", ArchiveLimits(max_entries=100_000)) as archive:
            names = [each for each in archive.names if "/test/" in each]
            files = [archive.read(each, limits.max_bytes) for each in names]
    random.Random(0).shuffle(files)  # noqa: S311 - an order, not a secret
    return files


def _opened(file: bytes) -> EncodedImage:
    return read_header(file, ImageLimits())


def enlarged(file: bytes) -> bytes:
    """Return the image as a JPEG so large that it is scaled while it is decoded."""
    image = _opened(file).decode()
    factor = _LARGE_PX / min(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    return _encoded(image.resize(size, Image.Resampling.BICUBIC), "JPEG")


def _encoded(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
