"""A small real checkpoint: hand-set weights with known answers."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from app.vision import checkpoint
from app.vision.checkpoint import ModelCard, TrainingData
from app.vision.scores import ClassScore, Scores
from app.vision.specs import MNIST, ModelSpec


def card(spec: ModelSpec = MNIST) -> ModelCard:
    """The card of a model that was never trained."""
    scores = Scores(1, 0.0, 1.0, {name: ClassScore(0, 0) for name in spec.classes})
    return ModelCard(
        spec=spec,
        data=TrainingData(name="none", source="hand-set weights", split="none", train_count=0),
        validation=scores,
        test=scores,
        training={},
        versions={"torch": torch.__version__},
        created_at="2026-01-01T00:00:00Z",
    )


def always(digit: int) -> dict[str, Tensor]:
    """Weights of an MNIST network that answers `digit` to everything, with probability 0.99."""
    state = {name: torch.zeros_like(value) for name, value in MNIST.build().state_dict().items()}
    odds = 0.99 / (0.01 / 9)
    state["fc3.bias"][digit] = torch.tensor(odds).log()
    return state


def save_always(digit: int, folder: Path) -> ModelCard:
    """Write such a checkpoint as `mnist`."""
    return checkpoint.save(card(), always(digit), folder)


def save_with_classes(names: tuple[str, ...], folder: Path) -> ModelCard:
    """Write an `mnist` that answers the first of these classes to everything."""
    spec = replace(MNIST, classes=names, aliases={})
    state = {name: torch.zeros_like(value) for name, value in spec.build().state_dict().items()}
    return checkpoint.save(card(spec), state, folder)
