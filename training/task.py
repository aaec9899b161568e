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
    """A model to train, with its data and its recipe.

    This class trains the whole network on pixels from random weights. Tasks that start from other
    weights or train only a part are subclasses (training/transfer.py).

    `storage` is the dtype of the weights in the checkpoint. `run_suffix` distinguishes the run from
    others that train the same model.
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
        """Return the name of the initial weights, if they are not random."""
        return "random weights"

    @property
    def origin(self) -> dict[str, Any]:
        """Describe the initial weights for the checkpoint, in JSON types."""
        return {}

    def build(self) -> nn.Module:
        """Build the module to train, in its initial state."""
        return self.spec.build()

    def lessons(self, data: Split, device: torch.device, folder: Path, console: Console) -> Split:
        """Convert labeled images to training inputs. Slow results are cached in `folder`."""
        del device, folder, console
        return data

    def varied(self, images: Tensor) -> Tensor:
        """Convert a training batch to the input: uint8 (B, C, H, W) -> float32, same shape."""
        return normalize(self.augment(images), self.spec.input)

    def plain(self, images: Tensor) -> Tensor:
        """Convert a validation batch to the input: uint8 (B, C, H, W) -> float32, same shape."""
        return normalize(images, self.spec.input)

    def complete(self, trained: nn.Module) -> nn.Module:
        """Return the network of `spec` with the trained module in its place."""
        return trained
