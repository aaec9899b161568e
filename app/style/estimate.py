"""Estimates of the cost of a painting. Plain arithmetic; imports no PyTorch."""

from dataclasses import dataclass, replace

from app.style.options import MIN_SIZE_PX, StyleOptions
from app.style.schedule import HISTORY, LARGE_PX, Stage, first_stage, plan, remaining

_TARGET_COST = 0.5
"""A look at a target, without a gradient, costs about this share of a step."""

_LBFGS_BYTES_PER_PX = 12 * (2 * HISTORY + 12)  # three float32 channels; history and working copies
_ADAM_BYTES_PER_PX = 12 * 10
_TARGET_HELD = 0.35
"""What the network holds of a style picture, without a gradient, as a share."""

_FRUGAL = 0.55
"""What the network holds of a large picture, where it saves memory, as a share."""


@dataclass(frozen=True)
class Calibration:
    """Costs of one device, as `style.calibrate` measures them.

    A step takes `step_s + pixel_s * pixels` seconds. `network_bytes_per_px` is what the network
    holds during a step, per pixel of the picture; `fixed_bytes` is the process with its weights.
    """

    step_s: float
    pixel_s: float
    network_bytes_per_px: float
    fixed_bytes: int


@dataclass(frozen=True)
class Estimate:
    """An upper bound of the time (stages may end early) and of the memory."""

    seconds: float
    bytes: int


def estimate(
    options: StyleOptions,
    size: tuple[int, int],
    device: Calibration,
    style_count: int = 1,
    begun_px: int | None = None,
) -> Estimate:
    """Estimate the painting of a photograph of (width, height) px.

    `begun_px` is the longest side of a painting that is gone on with.

    Raises:
        ValueError: such a photograph cannot be painted, see `schedule.plan`.
    """
    stages = plan(options, *size)
    if begun_px is not None:
        stages = stages[first_stage(stages, begun_px) :]
    return Estimate(
        seconds=sum(_seconds(stage, options, device, style_count) for stage in stages),
        bytes=device.fixed_bytes
        + round(max(_bytes(stage, options, device, style_count) for stage in stages)),
    )


def remaining_s(stages: tuple[Stage, ...], step: int, device: Calibration) -> float:
    """Seconds that the steps after `step` will take; `step` counts over all stages."""
    return sum(left * _step_s(stage.pixels, device) for stage, left in remaining(stages, step))


def largest_size(
    options: StyleOptions,
    size: tuple[int, int],
    spare_bytes: int,
    device: Calibration,
    style_count: int = 1,
) -> int:
    """Largest size below that of the options with which the painting fits; 0 if none does."""

    def fits(smaller: int) -> bool:
        return (
            estimate(replace(options, size=smaller), size, device, style_count).bytes <= spare_bytes
        )

    top = options.size - 1
    try:
        while top >= 2 * MIN_SIZE_PX and not fits(top // 2):
            top //= 2
        return next(filter(fits, range(top, MIN_SIZE_PX - 1, -1)), 0)
    except ValueError:  # smaller than such a photograph can be painted
        return 0


def shortage(
    options: StyleOptions,
    size: tuple[int, int],
    spare_bytes: int,
    device: Calibration,
    style_count: int = 1,
) -> str | None:
    """Say what would fit where the painting does not; None where it does."""
    needed = estimate(options, size, device, style_count).bytes
    if needed <= spare_bytes:
        return None
    fits = largest_size(options, size, spare_bytes, device, style_count)
    return (
        f"size {options.size} needs {needed / 1e9:.1f} GB, there are {spare_bytes / 1e9:.1f} GB; "
        + (f"{fits} would fit" if fits else "no size would fit")
    )


def _seconds(stage: Stage, options: StyleOptions, device: Calibration, style_count: int) -> float:
    style_side = max(stage.width, stage.height) * options.style_scale
    style_px = style_count * style_side * min(stage.width, stage.height) * options.style_scale
    targets = _TARGET_COST * _step_s(stage.pixels + style_px, device)
    return targets + stage.steps * _step_s(stage.pixels, device)


def _step_s(pixels: float, device: Calibration) -> float:
    return device.step_s + device.pixel_s * pixels


def _bytes(stage: Stage, options: StyleOptions, device: Calibration, style_count: int) -> float:
    """Return the bytes of a step, or of analyzing a square style picture, whichever is more."""
    style_px = (max(stage.width, stage.height) * options.style_scale) ** 2
    target = style_px * (_TARGET_HELD * device.network_bytes_per_px + 3 * style_count)
    return max(stage.pixels * _bytes_per_px(stage.pixels, device), target)


def _bytes_per_px(pixels: int, device: Calibration) -> float:
    if pixels > LARGE_PX:
        return _FRUGAL * device.network_bytes_per_px + _ADAM_BYTES_PER_PX
    return device.network_bytes_per_px + _LBFGS_BYTES_PER_PX
