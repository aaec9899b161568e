"""Measures evaluation beside the usual loop, and beside its own two halves alone.

The usual loop: torchvision's ImageFolder behind a DataLoader with two processes, batches of 32, the
same network in float32. The halves: decoding and preparing alone, and the network alone, each as
evaluation does it. They take turns over the same folder of images, so that whatever else the host
does concerns all.

    python -m benchmarks.evaluate --data-dir data
"""

import argparse
import os
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from app.engines.pytorch import ReferenceEngine
from app.engines.selection import EngineSelection
from app.evaluation.evaluator import Evaluator
from app.evaluation.labeled_images import LabeledSet, label_files
from app.evaluation.predictions import Predictions
from app.evaluation.sources import ImageFolder, ImageSource
from app.limits import ImageLimits
from app.vision.classifier import Classifier
from app.vision.images import PixelBudget

_USUAL_BATCH, _USUAL_PROCESSES = 32, 2
_BATCH = 64
_ARCHIVES = {"cifar10": "cifar10.zip", "catdog": "catdog.zip"}


def usual(classifier: Classifier, folder: Path) -> int:
    """Evaluate in the usual way; returns how many are right."""
    spec = classifier.card.spec.input
    prepare = transforms.Compose(
        [
            transforms.Resize(spec.resize_px),
            transforms.CenterCrop((spec.height, spec.width)),
            transforms.ToTensor(),
            transforms.Normalize(spec.mean, spec.std),
        ]
    )
    images = datasets.ImageFolder(str(folder), prepare)
    right = 0
    with torch.inference_mode():
        for batch, labels in DataLoader(images, _USUAL_BATCH, num_workers=_USUAL_PROCESSES):
            predicted = classifier.network(batch.to(classifier.device)).argmax(dim=1).cpu()
            right += int((predicted == labels).sum())
    return right


def ours(evaluator: Evaluator, source: ImageSource, labels: LabeledSet) -> int:
    """Evaluate as `python -m app evaluate` does, the report included."""
    answers = Predictions()
    for _ in evaluator.run(source, labels, answers):
        pass
    report = evaluator.report(labels, answers)
    return round(report.accuracy * report.n)


def decode(evaluator: Evaluator, source: ImageSource, labels: LabeledSet) -> int:
    """Decode and prepare alone."""
    return sum(1 for _ in evaluator.preprocess(source, labels.files))


def forward(classifier: Classifier, pictures: list[Tensor], count: int) -> int:
    """Run the network alone, over prepared pictures."""
    for start in range(0, count, _BATCH):
        classifier.probabilities(pictures[: min(_BATCH, count - start)])
    return count


def main() -> None:
    """Run all four over the test images of each model, and print images per second."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    data_dir = Path(os.environ.get("ATELIER_DATASETS", "data"))
    parser.add_argument("--data-dir", type=Path, default=data_dir)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="images, for a trial")
    arguments = parser.parse_args()
    print(f"images/s on {os.cpu_count()} cores, median of {arguments.rounds} rounds")
    for model, archive in _ARCHIVES.items():
        with tempfile.TemporaryDirectory() as folder:
            _unpack(arguments.data_dir / archive, Path(folder), arguments.limit)
            _compare(model, Path(folder), arguments.rounds)


def _compare(model: str, folder: Path, rounds: int) -> None:
    device = torch.device("cpu")
    classifier = Classifier.load(model, Path(__file__).parents[1] / "models", device)
    evaluator = Evaluator(
        classifier,
        EngineSelection(ReferenceEngine(classifier), "as PyTorch has it", min_side_px=None),
        ImageLimits(),
        PixelBudget(200_000_000),
        threads=os.cpu_count() or 1,
    )
    source = ImageFolder(folder)
    labels = label_files(source.names, classifier.card.spec.class_of)
    found = evaluator.preprocess(source, labels.files[:_BATCH])
    pictures = [each for each in found if isinstance(each, Tensor)]
    contenders: dict[str, Callable[[], int]] = {
        "usual": lambda: usual(classifier, folder),
        "ours": lambda: ours(evaluator, source, labels),
        "decode": lambda: decode(evaluator, source, labels),
        "forward": lambda: forward(classifier, pictures, len(labels.files)),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    right = {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            started = perf_counter()
            right[name] = contender()
            rates[name].append(len(labels.files) / (perf_counter() - started))
    rate = {name: statistics.median(each) for name, each in rates.items()}
    slower = min(rate["decode"], rate["forward"])
    print(
        f"{model:8} "
        + "  ".join(f"{name} {each:,.0f}" for name, each in rate.items())
        + f"  usual/ours {rate['ours'] / rate['usual']:.2f}x"
        + f"  of the slower half {slower / rate['ours']:.2f}"
        + f"  right {right['usual']:,} and {right['ours']:,}"
    )


def _unpack(path: Path, folder: Path, limit: int | None) -> None:
    """Unpack the test images, NAME/test/CLASS/N.jpg, as CLASS/N.jpg."""
    with zipfile.ZipFile(path) as archive:
        names = (name for name in archive.namelist() if "/test/" in name and name[-1] != "/")
        for name in islice(sorted(names, key=lambda each: each.rpartition("/")[2]), limit):
            target = folder / name.partition("/test/")[2]
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(archive.read(name))


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # as `python -m app` has it, for all four
        os.environ["OMP_WAIT_POLICY"] = "passive"
        again = [sys.executable, "-m", "benchmarks.evaluate", *sys.argv[1:]]
        os.execv(sys.executable, again)  # noqa: S606 - itself
    main()
