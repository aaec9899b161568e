"""What a painting will cost, before it starts. Plain arithmetic; imports no PyTorch."""

from dataclasses import dataclass

from app.style.options import StyleOptions
from app.style.schedule import HISTORY, LARGE_PX, Stage, plan, remaining

_TARGET_COST = 0.5
"""A look at a target, without a gradient, costs about this share of a step."""

_LBFGS_BYTES_PER_PX = 12 * (2 * HISTORY + 12)  # three float32 channels; history and working copies
_ADAM_BYTES_PER_PX = 12 * 10
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
    options: StyleOptions, width: int, height: int, device: Calibration, style_count: int = 1
) -> Estimate:
    """Estimate the painting of a photograph of `width` x `height` px.

    Raises:
        ValueError: such a photograph cannot be painted, see `schedule.plan`.
    """
    stages = plan(options, width, height)
    return Estimate(
        seconds=sum(_seconds(stage, options, device, style_count) for stage in stages),
        bytes=device.fixed_bytes + round(max(_bytes(stage, device) for stage in stages)),
    )


def remaining_s(stages: tuple[Stage, ...], step: int, device: Calibration) -> float:
    """Seconds that the steps after `step` will take; `step` counts over all stages."""
    return sum(left * _step_s(stage.pixels, device) for stage, left in remaining(stages, step))


def largest_size(width: int, height: int, spare_bytes: int, device: Calibration) -> int:
    """Longest side in px of the largest painting of such a photograph within `spare_bytes`."""
    spare = max(0, spare_bytes - device.fixed_bytes)
    pixels = spare / _bytes_per_px(LARGE_PX + 1, device)
    if pixels <= LARGE_PX:
        pixels = min(LARGE_PX, spare / _bytes_per_px(LARGE_PX, device))
    aspect = max(width, height) / min(width, height)
    return max(0, int((pixels * aspect) ** 0.5) - 1)  # sides are rounded


def _seconds(stage: Stage, options: StyleOptions, device: Calibration, style_count: int) -> float:
    style_side = max(stage.width, stage.height) * options.style_scale
    style_px = style_count * style_side * min(stage.width, stage.height) * options.style_scale
    targets = _TARGET_COST * _step_s(stage.pixels + style_px, device)
    return targets + stage.steps * _step_s(stage.pixels, device)


def _step_s(pixels: float, device: Calibration) -> float:
    return device.step_s + device.pixel_s * pixels


def _bytes(stage: Stage, device: Calibration) -> float:
    return stage.pixels * _bytes_per_px(stage.pixels, device)


def _bytes_per_px(pixels: int, device: Calibration) -> float:
    if pixels > LARGE_PX:
        return _FRUGAL * device.network_bytes_per_px + _ADAM_BYTES_PER_PX
    return device.network_bytes_per_px + _LBFGS_BYTES_PER_PX
