"""What is to be learnt, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.vision.specs import ModelSpec
from training.augment import Augmentation
from training.data import Source
from training.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """A model to train: what it is, the data it learns from and the way it learns."""

    spec: ModelSpec
    find_source: Callable[[Path], Source]
    recipe: Recipe
    augment: Augmentation
