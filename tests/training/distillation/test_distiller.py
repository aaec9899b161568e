from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import densenet121

from app.vision.preprocess import normalize
from app.vision.specs import CATDOG
from tests.training.distillation.tiny import TINY, color_teacher
from tests.training.tiny import photographs
from training.distillation.distiller import Compared, Distiller, flipped, resized
from training.distillation.lessons import KeptLessons, Lesson
from training.distillation.recipe import Recipe
from training.loop import BatchDone, DivergedError

_CPU = torch.device("cpu")


@pytest.fixture
def lessons(tmp_path: Path) -> KeptLessons:
    """Lessons on eight photographs."""
    pictures, labels = photographs(8)
    dog = torch.tensor([float(label == "dog") for label in labels])
    return KeptLessons(pictures, dog, color_teacher, TINY, 0, tmp_path)


def _distiller(lessons: KeptLessons, recipe: Recipe = TINY) -> Distiller:
    validation = lessons.plain(CATDOG.input.sized(48))
    return Distiller(recipe, lessons, validation, CATDOG.input, _CPU, seed=3)


def _same(first: Distiller, second: Distiller) -> bool:
    ours, theirs = first.backbone(), second.backbone()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_events_come_in_order(lessons: KeptLessons) -> None:
    distiller = _distiller(lessons)
    events = list(distiller.run())
    assert [type(event) for event in events] == [
        *[BatchDone] * 3,
        Compared,
        *[BatchDone] * 2,
        Compared,
        BatchDone,
    ]
    compared = [event for event in events if isinstance(event, Compared)]
    assert compared == distiller.history
    assert [(done.epoch, done.side_px) for done in compared] == [(2, 32), (3, 48)]
    assert all(done.improved for done in compared)  # each is the first at its size
    assert distiller.seconds > 0


@pytest.mark.parametrize("stop_after", [1, 4, 6])
def test_a_run_resumed_at_any_event_ends_with_the_same_weights(
    lessons: KeptLessons, stop_after: int, tmp_path: Path
) -> None:
    whole = _distiller(lessons)
    list(whole.run())
    first = _distiller(lessons)
    for _, _event in zip(range(stop_after), first.run(), strict=False):
        pass
    torch.save(first.state_dict(), tmp_path / "state.pt")
    torch.manual_seed(999)
    second = _distiller(lessons)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    list(second.run())
    assert _same(whole, second)
    assert second.history == whole.history


def test_student_learns_the_teachers_outputs(lessons: KeptLessons) -> None:
    recipe = replace(
        TINY, sizes_px=(64,), epochs=(24,), batch_size=8, averaging_decay=0.5, compare_every=8
    )
    distiller = _distiller(lessons, recipe)
    list(distiller.run())
    first, *_, last = distiller.history
    assert last.training_loss < first.training_loss / 2
    assert last.validation_loss < first.validation_loss
    assert last.accuracy == last.agreement == 1.0
    student = densenet121()
    student.load_state_dict(distiller.backbone())
    validation = lessons.plain(CATDOG.input.sized(32))
    with torch.inference_mode():
        outputs = student.eval()(normalize(validation.images, CATDOG.input))
    assert torch.equal(outputs.argmax(dim=1), validation.logits.argmax(dim=1))


def test_a_diverged_run_says_so(lessons: KeptLessons) -> None:
    distiller = _distiller(lessons, replace(TINY, learning_rate=1e30, warmup=0.0))
    with pytest.raises(DivergedError, match="--learning-rate"):
        list(distiller.run())


def test_half_of_the_images_are_flipped_and_sizes_change_smoothly() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(100, 3, 64, 64)
    turned = (flipped(ramp)[:, 0, 0, 0] > 0).float().mean()
    assert 0.35 < turned < 0.65
    small: Tensor = resized(ramp, 16)
    assert small.shape == (100, 3, 16, 16)
    assert small[0, 0, 0].diff().sub(16).abs().max() < 4
    lesson = Lesson(ramp[:2], torch.zeros(2, 1000).half(), torch.zeros(2))
    inputs = normalize(resized(lesson.images, 64), CATDOG.input)
    assert torch.allclose(inputs, normalize(lesson.images, CATDOG.input), atol=1e-4)
