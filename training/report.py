"""The report of a training run, and the files that it leaves in the models folder."""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor, nn

from app.vision import checkpoint
from app.vision.checkpoint import ModelCard
from app.vision.errors import CheckpointError
from app.vision.scores import Scores, confusion_matrix, score
from app.vision.specs import ModelSpec
from training.examples import Examples
from training.loop import predict

_PACKAGES = ("torch", "torchvision", "numpy", "pillow")


@dataclass(frozen=True)
class Evaluation:
    """A network's answers to labeled images.

    `predicted` is int64 (N,), class indices; `confusion` int64 (K, K), rows true and columns
    predicted. All tensors are on the CPU.
    """

    examples: Examples
    predicted: Tensor
    confusion: Tensor
    scores: Scores


def evaluate(network: nn.Module, examples: Examples, spec: ModelSpec) -> Evaluation:
    """Run a network in eval mode, in float32, on the examples' device, and score it."""
    outputs = predict(network, examples.images, spec.input).cpu()
    examples, predicted = examples.to(torch.device("cpu")), outputs.argmax(dim=1)
    return Evaluation(
        examples,
        predicted,
        confusion_matrix(predicted, examples.labels, len(spec.classes)),
        score(outputs, examples.labels, spec.classes),
    )


def scores_table(title: str, scores: Scores) -> Table:
    """Return a table of class-wise accuracies, with the loss and the overall accuracy."""
    table = Table(title=title, show_footer=True)
    table.add_column("class", footer="all")
    correct = sum(one.correct for one in scores.classes.values())
    table.add_column("correct/total", footer=f"{correct}/{scores.count}", justify="right")
    table.add_column("accuracy", footer=f"{scores.accuracy:.2%}", justify="right")
    table.caption = f"loss {scores.loss:.4f}"
    for name, one in scores.classes.items():
        accuracy = f"{one.correct / one.total:.2%}" if one.total else "no examples"
        table.add_row(name, f"{one.correct}/{one.total}", accuracy)
    return table


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the packages that the weights depend on, and of `more`."""
    packages = (*_PACKAGES, *more)
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def device_name(device: torch.device) -> str:
    """Name a device for a card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def now() -> str:
    """Return the time for a card: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def reason_to_keep(card: ModelCard, folder: Path) -> str | None:
    """Return why the checkpoint in `folder` should not be replaced, or None if it may be.

    It should not be replaced if it has a better validation accuracy on the same split, or was
    trained on more images (the new run may be a trial).
    """
    try:
        old, _ = checkpoint.load(card.spec.name, folder)
    except CheckpointError:
        return None
    if old.data.split == card.data.split and old.validation.accuracy > card.validation.accuracy:
        return (
            f"its validation accuracy on the same split is {old.validation.accuracy:.2%}, "
            f"this one's {card.validation.accuracy:.2%}"
        )
    if old.data.train_count > card.data.train_count:
        return (
            f"it was trained on {old.data.train_count:,} images, this one on "
            f"{card.data.train_count:,}"
        )
    return None
