from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from app.style import schedule
from app.style.checkpoint import PaintingCheckpoint, ResumeError
from app.style.options import Color, Init, Quality, StyleOptions
from app.style.targets import StyleTargets
from app.style.transfer import StyleStep, stylize

OPTIONS = StyleOptions(size=64, quality=Quality.PREVIEW, seed=1)


def paint(
    targets: StyleTargets,
    photo: Image.Image,
    styles: list[Image.Image],
    options: StyleOptions = OPTIONS,
    steps: int = 12,
) -> StyleStep:
    for step in stylize(photo, styles, options, targets=targets):
        if step.step >= steps:
            break
    return step


def total(step: StyleStep) -> float:
    return step.content_loss + step.style_loss


def test_loss_decreases(targets: StyleTargets, photo: Image.Image, painting: Image.Image) -> None:
    losses = [total(paint(targets, photo, [painting], steps=steps)) for steps in (1, 5, 25)]
    assert losses[0] > losses[1] > losses[2]


def test_steps_count_over_all_stages_and_the_result_has_the_requested_size(
    targets: StyleTargets,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(schedule._PRESETS, Quality.PREVIEW, ((1 / 4, 12), (1 / 2, 5)))
    options = replace(OPTIONS, size=160)
    steps = list(stylize(photo, [painting], options, targets=targets))
    numbers = [step.step for step in steps]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= steps[-1].steps
    assert {step.width for step in steps} == {64, 80}
    assert steps[-1].picture().size == (80, 60)
    assert steps[-1].result().size == (160, 120)
    assert steps[-1].result().mode == "RGB"


def test_equal_seeds_give_equal_results(
    targets: StyleTargets, photo: Image.Image, painting: Image.Image
) -> None:
    options = replace(OPTIONS, init=Init.NOISE)
    one, same, other = (
        paint(targets, photo, [painting], replace(options, seed=seed)).painting
        for seed in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0.9},
        {"content_weight": 0.01, "style_weight": 10.0},
        {"layer_weights": (1.0, 0.0, 0.0, 0.0, 0.0)},
        {"color": Color.CONTENT},
        {"color": Color.MATCH},
        {"style_scale": 0.5},
        {"init": Init.NOISE},
    ],
)
def test_options_change_the_result(
    targets: StyleTargets,
    photo: Image.Image,
    painting: Image.Image,
    changes: dict[str, object],
) -> None:
    changed = replace(OPTIONS, **changes)  # type: ignore[arg-type]
    one = paint(targets, photo, [painting], OPTIONS).result()
    other = paint(targets, photo, [painting], changed).result()
    assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() > 1


def test_blend_is_between_its_styles(
    targets: StyleTargets, photo: Image.Image, painting: Image.Image
) -> None:
    styles = [painting, painting.transpose(Image.Transpose.ROTATE_90)]

    def loss_towards_first(weights: tuple[float, float]) -> float:
        options = replace(OPTIONS, style_weights=weights, strength=1.0)
        painted = paint(targets, photo, styles, options, steps=30).picture()
        towards = stylize(painted, styles[:1], replace(OPTIONS, strength=1.0), targets=targets)
        return next(towards).style_loss

    only_first, half, only_second = map(loss_towards_first, ((1, 0), (0.5, 0.5), (0, 1)))
    assert only_first < half < only_second


def test_strength_trades_content_for_style(
    targets: StyleTargets, photo: Image.Image, painting: Image.Image
) -> None:
    def distance(strength: float) -> float:
        options = replace(OPTIONS, strength=strength)
        picture = paint(targets, photo, [painting], options, steps=40).picture()
        small = photo.resize(picture.size)
        return float(np.abs(np.asarray(picture, float) - np.asarray(small, float)).mean())

    assert distance(0.0) < 1
    assert distance(0.1) < distance(0.5) < distance(1.0)


def test_color_content_keeps_the_chroma(
    targets: StyleTargets, photo: Image.Image, painting: Image.Image
) -> None:
    options = replace(OPTIONS, color=Color.CONTENT)
    picture = paint(targets, photo, [painting], options).picture()
    chroma, expected = (
        np.asarray(image.convert("YCbCr"), float)[..., 1:].mean((0, 1))
        for image in (picture, photo.resize(picture.size))
    )
    np.testing.assert_allclose(chroma, expected, atol=8)


def test_resumed_run_gives_the_same_result_as_an_uninterrupted_run(
    targets: StyleTargets,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(schedule._PRESETS, Quality.PREVIEW, ((1 / 2, 20), (1, 20)))
    options = replace(OPTIONS, size=80)
    whole = list(stylize(photo, [painting], options, targets=targets))
    for stop_at in (10, 30):
        stopped = paint(targets, photo, [painting], options, steps=stop_at)
        resume = PaintingCheckpoint.from_bytes(stopped.checkpoint().to_bytes())
        steps = list(stylize(photo, [painting], options, targets=targets, resume=resume))
        assert steps[0].step > stop_at
        assert steps[-1].step == whole[-1].step
        assert steps[-1].painting.shape == whole[-1].painting.shape
        assert total(steps[-1]) < total(steps[0])
        first_of_stage = next(step for step in whole if step.width == steps[0].width)
        assert total(steps[0]) < total(first_of_stage)


def test_damaged_and_mismatched_checkpoints_are_refused(
    targets: StyleTargets, photo: Image.Image, painting: Image.Image
) -> None:
    checkpoint = PaintingCheckpoint(torch.zeros(1, 3, 48, 64), stage=7, step=0, seed=1)
    with pytest.raises(ResumeError, match="stage 8"):
        next(stylize(photo, [painting], OPTIONS, targets=targets, resume=checkpoint))
    with pytest.raises(ResumeError, match="damaged"):
        PaintingCheckpoint.from_bytes(checkpoint.to_bytes()[:-200])


def test_style_targets_are_computed_once(targets: StyleTargets, painting: Image.Image) -> None:
    cache = StyleTargets(targets.network, capacity=2)
    first = cache.grams(painting, (64, 64))
    assert cache.grams(painting.copy(), (64, 64)) is first
    cache.grams(painting, (32, 32))
    cache.grams(painting, (48, 48))
    assert cache.grams(painting, (64, 64)) is not first
