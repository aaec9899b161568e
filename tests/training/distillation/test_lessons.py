from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.vision.preprocess import preprocess
from app.vision.specs import CATDOG
from tests.training.distillation.tiny import TINY, color_teacher
from tests.training.tiny import photographs
from training.distillation.lessons import (
    KeptLessons,
    blend,
    digest,
    discard_lessons,
    lessons_folder,
)
from training.distillation.recipe import Recipe

_PICTURES, _LABELS = photographs(12)
_DOG = torch.tensor([float(label == "dog") for label in _LABELS])


def _lessons(folder: Path, recipe: Recipe = TINY, seed: int = 0) -> KeptLessons:
    return KeptLessons(_PICTURES, _DOG, color_teacher, recipe, seed, folder)


def test_a_lesson_has_a_view_of_each_photograph_and_the_teachers_answer(tmp_path: Path) -> None:
    lessons = _lessons(tmp_path, replace(TINY, blended=0.0))
    assert (len(lessons), lessons.photograph_count) == (2, 12)
    first, second = lessons[0], lessons[1]
    assert first.images.shape == (12, 3, 48, 48)
    assert (first.images.dtype, first.logits.dtype) == (torch.uint8, torch.float16)
    assert torch.equal(first.logits, color_teacher(first.images).half())
    assert torch.equal(first.dog, _DOG)
    assert torch.equal(first.logits[:, 151] > first.logits[:, 281], _DOG > 0.5)
    same = (first.images == second.images).flatten(1).all(dim=1)  # by chance
    assert same.sum() < 3


def test_a_lesson_is_made_once_and_kept(tmp_path: Path) -> None:
    first = _lessons(tmp_path)[1]
    asked: list[int] = []

    def silent(images: Tensor) -> Tensor:
        asked.append(len(images))
        return color_teacher(images)

    again = KeptLessons(_PICTURES, _DOG, silent, TINY, 0, tmp_path)[1]
    assert asked == []
    for name, value in vars(first).items():
        assert torch.equal(vars(again)[name], value)


def test_the_seed_decides_and_not_the_order_in_which_they_are_made(tmp_path: Path) -> None:
    forth, back, other = (
        _lessons(tmp_path / name, seed=s) for name, s in (("a", 0), ("b", 0), ("c", 1))
    )
    made = [forth[0], forth[1]]
    assert torch.equal(back[1].images, made[1].images)
    assert torch.equal(back[0].images, made[0].images)
    assert not torch.equal(other[0].images, made[0].images)


def test_plain_lessons_are_the_photographs_as_served(tmp_path: Path) -> None:
    spec = CATDOG.input.sized(32)
    plain = _lessons(tmp_path).plain(spec)
    for image, picture in zip(plain.images, _PICTURES, strict=True):
        assert torch.equal(image, preprocess(picture, spec))


def test_blends_are_between_two_views_and_their_labels() -> None:
    torch.manual_seed(0)
    level = torch.arange(200).view(-1, 1, 1, 1).expand(200, 3, 4, 4).byte()
    dog = torch.arange(200) / 200
    images, mixed_dog = blend(level, dog, part=0.5)
    assert torch.equal(level[:, 0, 0, 0], torch.arange(200).byte())
    changed = images[:, 0, 0, 0] != level[:, 0, 0, 0]
    assert 0.35 < changed.float().mean() < 0.65
    assert (images[:, 0, 0, 0].float() / 200 - mixed_dog).abs().max() < 0.011
    images, mixed_dog = blend(level, dog, part=0.0)
    assert torch.equal(images, level)
    assert torch.equal(mixed_dog, dog)


@pytest.mark.parametrize(
    "change", [{"view_px": 32}, {"min_area": 0.9}, {"blended": 0.1}, {"teacher_px": 64}]
)
def test_other_views_are_kept_elsewhere(tmp_path: Path, change: dict[str, int]) -> None:
    folder = lessons_folder(tmp_path, TINY, 0, "a")
    assert lessons_folder(tmp_path, replace(TINY, learning_rate=1.0), 0, "a") == folder
    others = {
        lessons_folder(tmp_path, replace(TINY, **change), 0, "a"),  # type: ignore[arg-type]
        lessons_folder(tmp_path, TINY, 1, "a"),
        lessons_folder(tmp_path, TINY, 0, "b"),
    }
    assert len(others | {folder}) == 4


def test_the_digest_is_that_of_photographs_and_labels() -> None:
    known = digest(_PICTURES, _DOG)
    assert digest([picture.copy() for picture in _PICTURES], _DOG.clone()) == known
    assert digest(_PICTURES[::-1], _DOG) != known
    assert digest(_PICTURES, 1 - _DOG) != known


def test_lessons_are_discarded_but_for_those_still_wanted(tmp_path: Path) -> None:
    for name in ("lessons-a", "lessons-b"):
        assert len(_lessons(tmp_path / name)[0]) == 12
    (tmp_path / "others").mkdir()
    discard_lessons(tmp_path, except_for=["lessons-b"])
    assert {path.name for path in tmp_path.iterdir()} == {"lessons-b", "others"}
    discard_lessons(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"others"}
