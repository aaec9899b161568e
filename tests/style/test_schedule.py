import dataclasses
import subprocess
import sys

import pytest

from app.style.estimate import Calibration, estimate, largest_size, remaining_s
from app.style.options import Quality, StyleOptions
from app.style.schedule import LARGE_PX, fit, plan, remaining

DEVICE = Calibration(step_s=0.01, pixel_s=1e-6, network_bytes_per_px=1000, fixed_bytes=10**8)


def test_torch_is_not_imported() -> None:
    code = "import sys, app.style.estimate, app.style.builtin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 63),
        ("strength", 1.1),
        ("strength", float("nan")),
        ("content_weight", 1.0),
        ("layer_weights", (1.0, 2.0)),
        ("layer_weights", (0.0,) * 5),
        ("layer_weights", (1.0, 1.0, 1.0, 1.0, -1.0)),
        ("style_weights", (0.0,)),
        ("style_scale", 0.0),
        ("style_scale", float("inf")),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(StyleOptions(), **{name: value})  # type: ignore[arg-type]


def test_seed_is_random_by_default() -> None:
    assert StyleOptions().seed != StyleOptions().seed
    assert StyleOptions(seed=5).seed == 5


def test_shares_of_styles_add_up_to_one() -> None:
    assert StyleOptions().blend(4) == (0.25,) * 4
    assert StyleOptions(style_weights=(3, 1)).blend(2) == (0.75, 0.25)
    with pytest.raises(ValueError, match="style_weights has 2 numbers for 3 styles"):
        StyleOptions(style_weights=(3, 1)).blend(3)


@pytest.mark.parametrize("quality", list(Quality))
def test_stages_grow_and_end_at_the_size(quality: Quality) -> None:
    stages = plan(StyleOptions(size=512, quality=quality), 4000, 3000)
    sides = [stage.width for stage in stages]
    assert sides == sorted(set(sides))
    assert sides[-1] == (256 if quality is Quality.PREVIEW else 512)
    assert all(stage.height == round(stage.width * 3 / 4) for stage in stages)


def test_no_stage_is_below_the_minimum_size() -> None:
    assert [stage.width for stage in plan(StyleOptions(size=64), 100, 80)] == [64]
    assert min(stage.width for stage in plan(StyleOptions(size=100), 100, 80)) == 64


def test_large_image_has_one_more_coarse_stage() -> None:
    stages = plan(StyleOptions(size=1600), 4, 3)
    assert stages[-1].pixels > LARGE_PX
    assert stages[0].width == 200


def test_long_and_thin_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="8 times"):
        plan(StyleOptions(), 900, 100)
    with pytest.raises(ValueError, match="shorter side"):
        plan(StyleOptions(size=64), 800, 100)
    assert min(stage.height for stage in plan(StyleOptions(size=200), 800, 100)) >= 16


def test_small_photograph_is_enlarged() -> None:
    assert fit(30, 40, 512) == (384, 512)


def test_estimate_adds_up() -> None:
    options = StyleOptions(size=64)
    (stage,) = plan(options, 64, 64)
    step_s = 0.01 + 1e-6 * 64 * 64
    targets_s = 0.5 * (0.01 + 2e-6 * 64 * 64)
    found = estimate(options, (64, 64), DEVICE)
    assert found.seconds == pytest.approx(targets_s + stage.steps * step_s)
    assert found.bytes == 10**8 + 64 * 64 * (1000 + 12 * 132)


def test_remaining_time_decreases_to_zero() -> None:
    stages = plan(StyleOptions(), 512, 384)
    steps = sum(stage.steps for stage in stages)
    left = [remaining_s(stages, step, DEVICE) for step in range(steps + 1)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_remaining_steps_are_counted_by_stage() -> None:
    stages = plan(StyleOptions(), 512, 384)
    first, second, third = (stage.steps for stage in stages)

    def left(step: int) -> list[int]:
        return [count for _, count in remaining(stages, step)]

    assert left(0) == [first, second, third]
    assert left(first + 1) == [0, second - 1, third]
    assert left(first + second + third) == [0, 0, 0]


@pytest.mark.parametrize("spare_bytes", [10**9, 15 * 10**8, 4 * 10**9])
@pytest.mark.parametrize("style_scale", [1.0, 4.0])
def test_largest_size_fits_and_the_next_does_not(spare_bytes: int, style_scale: float) -> None:
    def needed(size: int) -> int:
        options = StyleOptions(size=size, style_scale=style_scale)
        return estimate(options, (4000, 3000), DEVICE).bytes

    asked = StyleOptions(size=4000, style_scale=style_scale)
    size = largest_size(asked, (4000, 3000), spare_bytes, DEVICE)
    assert needed(size) <= spare_bytes < needed(size + 1)


def test_largest_size_is_zero_if_nothing_fits() -> None:
    assert largest_size(StyleOptions(), (4000, 3000), 10**6, DEVICE) == 0


def test_large_style_images_raise_the_estimate() -> None:
    usual, large = StyleOptions(seed=0), StyleOptions(style_scale=4, seed=0)
    assert estimate(large, (400, 300), DEVICE).bytes > 2 * estimate(usual, (400, 300), DEVICE).bytes
