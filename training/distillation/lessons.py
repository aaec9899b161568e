"""Lessons: the student's inputs, and the teacher's outputs for them.

A lesson has one view of each photograph: a random crop, or a blend of two, so that the student sees
the teacher's outputs beyond the photographs themselves (Beyer et al., "Knowledge distillation: a
good teacher is patient and consistent", 2022). Lessons are made once and kept on disk until the
end.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from app.files import atomic_write
from app.vision.preprocess import preprocess
from app.vision.specs import InputSpec
from training.distillation.recipe import Recipe
from training.seeding import seed_torch

_TEACHER_BATCH = 64
_FOLDER = "lessons-"

Teaching = Callable[[Tensor], Tensor]
"""uint8 (B, 3, H, W), 0..255 -> logits, float32 (B, 1000)."""


@dataclass(frozen=True)
class Lesson:
    """Views, uint8 (N, 3, S, S), 0..255, with their targets.

    `logits` are the teacher's, float16 (N, 1000); `dog` is the fraction of a view that is a dog and
    not a cat, float32 (N,), 0..1.
    """

    images: Tensor
    logits: Tensor
    dog: Tensor

    def __len__(self) -> int:
        return len(self.dog)

    def to(self, device: torch.device) -> "Lesson":
        """Return the same lesson on another device."""
        return Lesson(self.images.to(device), self.logits.to(device), self.dog.to(device))


class Lessons(Protocol):
    """Lessons 0, 1, ..., equally long."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Lesson: ...


class KeptLessons:
    """The lessons of one set of photographs; each is made when it is first used."""

    def __init__(
        self,
        photographs: Sequence[Image.Image],
        dog: Tensor,
        teacher: Teaching,
        recipe: Recipe,
        seed: int,
        folder: Path,
    ) -> None:
        """Keep lessons in `folder`; `dog` is float32 (N,), 1 for a dog and 0 for a cat."""
        self._photographs, self._dog, self._teacher = photographs, dog, teacher
        self._recipe, self._seed, self._folder = recipe, seed, folder

    def __len__(self) -> int:
        return self._recipe.lesson_count

    def __getitem__(self, number: int, /) -> Lesson:
        return _kept(self._folder / f"{number:03}.pt", lambda: self._made(number))

    @property
    def name(self) -> str:
        """A digest that identifies these lessons."""
        return self._folder.name

    @property
    def photograph_count(self) -> int:
        """The number of photographs of which each lesson has a view."""
        return len(self._photographs)

    def plain(self, spec: InputSpec) -> Lesson:
        """Return the photographs, preprocessed for a model with this input."""

        def made() -> Lesson:
            views = torch.stack([preprocess(image, spec) for image in self._photographs])
            return Lesson(views, self._taught(views), self._dog)

        return _kept(self._folder / "plain.pt", made)

    def _made(self, number: int) -> Lesson:
        seed_torch(self._seed, number)
        crop = v2.RandomResizedCrop(self._recipe.view_px, scale=(self._recipe.min_area, 1.0))
        pixels = np.stack([np.asarray(crop(image)) for image in self._photographs])
        views = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()  # (N, 3, S, S)
        views, dog = blend(views, self._dog, self._recipe.blended)
        return Lesson(views, self._taught(views), dog)

    def _taught(self, views: Tensor) -> Tensor:
        batches = torch.split(views, _TEACHER_BATCH)
        return torch.cat([self._teacher(batch).half() for batch in batches])


def blend(views: Tensor, dog: Tensor, part: float) -> tuple[Tensor, Tensor]:
    """Blend a random part of the views with others, in random proportions.

    Takes and returns uint8 (N, 3, S, S), 0..255, and float32 (N,), 0..1.
    """
    count = len(views)
    share = torch.where(torch.rand(count) < part, torch.rand(count), 1.0)  # of the first
    other = torch.randperm(count)
    mixed = views.clone()
    for index in (share < 1).nonzero().flatten().tolist():
        mixed[index] = views[other[index]].float().lerp(views[index].float(), share[index]).byte()
    return mixed, torch.lerp(dog[other], dog, share)


def digest(photographs: Sequence[Image.Image], dog: Tensor) -> str:
    """Return a digest of the photographs and labels."""
    found = hashlib.sha256(dog.numpy().tobytes())
    for photograph in photographs:
        found.update(photograph.tobytes())
    return found.hexdigest()


def lessons_folder(runs_folder: Path, recipe: Recipe, seed: int, photographs: str) -> Path:
    """Return the folder of the lessons for a recipe, a seed and photographs (their digest)."""
    views = [recipe.view_px, recipe.min_area, recipe.blended, recipe.teacher_px]
    identity = json.dumps([*views, seed, photographs])
    return runs_folder / f"{_FOLDER}{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def discard_lessons(runs_folder: Path, except_for: Collection[str] = ()) -> None:
    """Delete all stored lessons except those with these names.

    A lesson on 5,000 photographs takes about 250 MB.
    """
    for folder in runs_folder.glob(f"{_FOLDER}*"):
        if folder.name not in except_for:
            shutil.rmtree(folder, ignore_errors=True)


def _kept(path: Path, make: Callable[[], Lesson]) -> Lesson:
    if path.exists():
        return Lesson(**torch.load(path, weights_only=True))
    lesson = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        torch.save(vars(lesson), file)
    return lesson
