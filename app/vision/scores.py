"""Loss, accuracy and confusion matrix of a model on labeled images."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ClassScore:
    """Number of correctly classified examples of one class; `total` may be 0."""

    correct: int
    total: int

    def __post_init__(self) -> None:
        if not (type(self.correct) is type(self.total) is int and 0 <= self.correct <= self.total):
            raise ValueError(f"{self.correct!r} of {self.total!r} is not a valid score")


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy over a split. `loss` is the mean negative log-likelihood in nats."""

    count: int
    loss: float
    accuracy: float
    classes: dict[str, ClassScore]

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Parse scores; raise KeyError, TypeError or ValueError if they are invalid."""
        classes = {name: ClassScore(**score) for name, score in value["classes"].items()}
        count, loss, accuracy = (value[name] for name in ("count", "loss", "accuracy"))
        if type(count) is not int or count < 1 or not (0 <= loss < math.inf and 0 <= accuracy <= 1):
            raise ValueError("a count, loss or accuracy is out of range")
        return cls(count, float(loss), float(accuracy), classes)


def confusion_matrix(predicted: Tensor, labels: Tensor, class_count: int) -> Tensor:
    """Count label/prediction pairs.

    Args:
        predicted: int64 (N,), class indices.
        labels: int64 (N,), class indices.
        class_count: K.

    Returns:
        int64 (K, K); rows are true classes, columns predicted classes.
    """
    pairs = labels * class_count + predicted
    return torch.bincount(pairs, minlength=class_count**2).view(class_count, class_count)


def score(outputs: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Scores:
    """Score logits or log-probabilities, float32 (N, K) with N >= 1, against int64 labels (N,)."""
    confusion = confusion_matrix(outputs.argmax(dim=1), labels, len(classes))
    correct, totals = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    return Scores(
        count=len(labels),
        loss=functional.cross_entropy(outputs.float(), labels).item(),
        accuracy=sum(correct) / len(labels),
        classes={
            name: ClassScore(*counts)
            for name, *counts in zip(classes, correct, totals, strict=True)
        },
    )
