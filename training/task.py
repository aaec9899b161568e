"""A training task: the network, the data and the recipe."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from app.vision.preprocess import normalize
from app.vision.specs import ModelSpec
from training.augment import Augmentation
from training.data import Source
from training.recipe import Recipe
from training.splits import Split


@dataclass(frozen=True)
class Task:
    """A model to train: what it is, the data it learns from and the way it learns.

    As it is here, all of the network is trained, from random weights, on pixels. Tasks that start
    elsewhere or train a part only derive from it (training/transfer.py).

    `storage` is the type in which the checkpoint keeps the weights. `run_suffix` sets a run apart
    from other runs that train the same model.
    """

    spec: ModelSpec
    find_source: Callable[[Path], Source]
    recipe: Recipe
    augment: Augmentation
    storage: torch.dtype = torch.float32
    run_suffix: str = ""

    @property
    def run_name(self) -> str:
        """Name of the run's folder."""
        return self.spec.name + self.run_suffix

    @property
    def start(self) -> str:
        """Name the weights that training starts from, as far as they are not random."""
        return "random weights"

    @property
    def origin(self) -> dict[str, Any]:
        """Describe the weights that training starts from, in JSON types, for the checkpoint."""
        return {}

    def build(self) -> nn.Module:
        """Build what is trained, as it is at the start."""
        return self.spec.build()

    def lessons(self, data: Split, device: torch.device, folder: Path, console: Console) -> Split:
        """Turn labeled images into what is trained on. What takes long is kept in `folder`."""
        del device, folder, console
        return data

    def varied(self, images: Tensor) -> Tensor:
        """Turn a batch to train on into the input: uint8 (B, C, H, W) -> float32, the same."""
        return normalize(self.augment(images), self.spec.input)

    def plain(self, images: Tensor) -> Tensor:
        """Turn a batch to validate on into the input: uint8 (B, C, H, W) -> float32, the same."""
        return normalize(images, self.spec.input)

    def complete(self, trained: nn.Module) -> nn.Module:
        """Return the network that `spec` describes, with what was trained in its place."""
        return trained
