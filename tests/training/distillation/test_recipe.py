from dataclasses import replace
from typing import Any

import pytest

from tests.training.distillation.tiny import TINY


@pytest.mark.parametrize(
    "change",
    [
        {"sizes_px": (64,)},
        {"sizes_px": (), "epochs": ()},
        {"epochs": (1, 0)},
        {"batch_size": 0},
        {"min_area": 0.0},
        {"blended": 1.1},
        {"warmup": 1.0},
        {"averaging_decay": 1.0},
        {"temperature": 0.0},
        {"learning_rate": -1.0},
        {"label_weight": -1.0},
        {"teacher_px": 100},
        {"teacher_px": 0},
    ],
)
def test_invalid_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needed"):
        replace(TINY, **change)


def test_sizes_follow_one_another() -> None:
    recipe = replace(TINY, sizes_px=(32, 64, 96), epochs=(2, 1, 2))
    assert recipe.epoch_count == 5
    assert [recipe.side_px(epoch) for epoch in range(1, 6)] == [32, 32, 64, 96, 96]


def test_student_and_teacher_are_compared_at_the_end_of_each_size() -> None:
    recipe = replace(TINY, epochs=(3, 4), compare_every=2)
    assert [epoch for epoch in range(1, 8) if recipe.compares_after(epoch)] == [2, 3, 4, 6, 7]
