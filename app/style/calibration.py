"""Measurement of the cost of a step on this device, for `app.style.estimate`."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from PIL import Image

from app.style.checkpoint import PaintingCheckpoint
from app.style.estimate import Calibration
from app.style.images import to_tensor
from app.style.options import Quality, StyleOptions
from app.style.schedule import plan
from app.style.targets import StyleTargets
from app.style.transfer import stylize
from app.style.vgg import VGG19
from app.vision.device import describe

_SIZES_PX = (96, 320)
_STEPS = 6

# Peak memory per pixel, measured by benchmarks/memory.py
_BYTES_PER_PX = {torch.bfloat16: 2200.0, torch.float32: 3600.0}
_FIXED_BYTES = 1_000_000_000


class CalibrationInterruptedError(Exception):
    """The measurement was interrupted by more urgent work."""


def calibrate(
    targets: StyleTargets, should_stop: Callable[[], bool] = lambda: False
) -> Calibration:
    """Measure a few steps at two sizes, which takes some seconds on a CPU.

    Raises:
        CalibrationInterruptedError: `should_stop`, which is called after each step, returned True.
    """
    small, large = (_step_s(size, targets, should_stop) for size in _SIZES_PX)
    small_px, large_px = (size * size for size in _SIZES_PX)
    pixel_s = max(large - small, 0.1 * large) / (large_px - small_px)
    step_s = max(0.0, small - pixel_s * small_px)
    return replace(memory_calibration(targets.network), step_s=step_s, pixel_s=pixel_s)


def memory_calibration(network: VGG19) -> Calibration:
    """Return the memory that painting needs, without times."""
    return Calibration(
        step_s=0,
        pixel_s=0,
        network_bytes_per_px=_BYTES_PER_PX[network.dtype],
        fixed_bytes=_FIXED_BYTES,
    )


def calibration_key(network: VGG19) -> str:
    """Return the device, precision and PyTorch version for which a calibration is valid."""
    dtype = str(network.dtype).removeprefix("torch.")
    return f"{describe(network.device)}, {dtype}, torch {torch.__version__}"


def _step_s(size: int, targets: StyleTargets, should_stop: Callable[[], bool]) -> float:
    """Return the seconds per step: the fastest of a few, least disturbed by other work."""
    options = StyleOptions(size=size, quality=Quality.HIGH, seed=0)
    photo = Image.effect_noise((size, size), 64).convert("RGB")
    style = Image.radial_gradient("L").convert("RGB")
    last = len(plan(options, *photo.size)) - 1
    start = PaintingCheckpoint(
        to_tensor(photo, photo.size, targets.network.device), last, 0, options.seed
    )
    steps = stylize(photo, [style], options, targets=targets, resume=start)
    durations = []
    before = None
    for _, _step in zip(range(_STEPS), steps, strict=False):
        now = time.perf_counter()
        if before is not None:
            durations.append(now - before)
        if should_stop():
            raise CalibrationInterruptedError
        before = time.perf_counter()
    return min(durations)
