"""Estimates of the time and memory of a painting. This module does not import PyTorch."""

from dataclasses import dataclass, replace

from app.style.options import MIN_SIZE_PX, StyleOptions
from app.style.schedule import HISTORY, LARGE_PX, Stage, first_stage, plan, remaining

_TARGET_COST = 0.5
"""Cost of computing a target, without a gradient, as a fraction of a step."""

_LBFGS_BYTES_PER_PX = 12 * (2 * HISTORY + 12)  # three float32 channels: history and working copies
_ADAM_BYTES_PER_PX = 12 * 10
_TARGET_MEMORY = 0.35
"""Memory of the network for a style image, without a gradient, as a fraction of a step's."""

_RECOMPUTE_MEMORY = 0.55
"""Memory of the network when it recomputes its first block, as a fraction of the usual."""


@dataclass(frozen=True)
class Calibration:
    """Costs of a painting on one device, as measured by `style.calibration.calibrate`.

    A step takes `step_s + pixel_s * pixels` seconds. `network_bytes_per_px` is the memory of the
    network during a step, per pixel of the image; `fixed_bytes` is the process with the weights.
    """

    step_s: float
    pixel_s: float
    network_bytes_per_px: float
    fixed_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Upper bounds of the time (stages may end early) and the memory."""

    seconds: float
    bytes: int


def estimate(
    options: StyleOptions,
    size: tuple[int, int],
    device: Calibration,
    style_count: int = 1,
    resume_px: int | None = None,
) -> Estimate:
    """Estimate the cost of painting a photograph of (width, height) px.

    `resume_px` is the longest side of the painting to continue, if any.

    Raises:
        ValueError: the photograph cannot be painted, see `schedule.plan`.
    """
    stages = plan(options, *size)
    if resume_px is not None:
        stages = stages[first_stage(stages, resume_px) :]
    return Estimate(
        seconds=sum(_seconds(stage, options, device, style_count) for stage in stages),
        bytes=device.fixed_bytes
        + round(max(_bytes(stage, options, device, style_count) for stage in stages)),
    )


def remaining_s(stages: tuple[Stage, ...], step: int, device: Calibration) -> float:
    """Return the time of the steps after `step`, in seconds; `step` counts over all stages."""
    return sum(left * _step_s(stage.pixels, device) for stage, left in remaining(stages, step))


def largest_size(
    options: StyleOptions,
    size: tuple[int, int],
    spare_bytes: int,
    device: Calibration,
    style_count: int = 1,
) -> int:
    """Return the largest size below that of the options that fits the memory, or 0."""

    def fits(smaller: int) -> bool:
        return (
            estimate(replace(options, size=smaller), size, device, style_count).bytes <= spare_bytes
        )

    top = options.size - 1
    try:
        while top >= 2 * MIN_SIZE_PX and not fits(top // 2):
            top //= 2
        return next(filter(fits, range(top, MIN_SIZE_PX - 1, -1)), 0)
    except ValueError:  # the photograph cannot be painted that small
        return 0


def memory_shortage(
    options: StyleOptions,
    size: tuple[int, int],
    spare_bytes: int,
    device: Calibration,
    style_count: int = 1,
) -> str | None:
    """Return an error message if the painting does not fit the memory, else None."""
    needed = estimate(options, size, device, style_count).bytes
    if needed <= spare_bytes:
        return None
    fits = largest_size(options, size, spare_bytes, device, style_count)
    return (
        f"Size {options.size} needs {needed / 1e9:.1f} GB of memory; "
        f"{spare_bytes / 1e9:.1f} GB are available. "
        + (f"Choose a size of {fits} or less." if fits else "No size fits.")
    )


def _seconds(stage: Stage, options: StyleOptions, device: Calibration, style_count: int) -> float:
    style_side = max(stage.width, stage.height) * options.style_scale
    style_px = style_count * style_side * min(stage.width, stage.height) * options.style_scale
    targets = _TARGET_COST * _step_s(stage.pixels + style_px, device)
    return targets + stage.steps * _step_s(stage.pixels, device)


def _step_s(pixels: float, device: Calibration) -> float:
    return device.step_s + device.pixel_s * pixels


def _bytes(stage: Stage, options: StyleOptions, device: Calibration, style_count: int) -> float:
    """Return the memory of a step or of a square style image, whichever is larger."""
    style_px = (max(stage.width, stage.height) * options.style_scale) ** 2
    target = style_px * (_TARGET_MEMORY * device.network_bytes_per_px + 3 * style_count)
    return max(stage.pixels * _bytes_per_px(stage.pixels, device), target)


def _bytes_per_px(pixels: int, device: Calibration) -> float:
    if pixels > LARGE_PX:
        return _RECOMPUTE_MEMORY * device.network_bytes_per_px + _ADAM_BYTES_PER_PX
    return device.network_bytes_per_px + _LBFGS_BYTES_PER_PX
