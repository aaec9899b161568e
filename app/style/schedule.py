"""Schedule of a painting: sizes and numbers of steps. This module does not import PyTorch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.style.options import MAX_ASPECT_RATIO, MIN_SIZE_PX, Quality, StyleOptions

MIN_SHORT_SIDE_PX = 16
"""The network halves an image four times."""

LARGE_PX = 1_000_000
"""Above this number of pixels, one more stage is added at half the coarsest size."""

HISTORY = 60
"""Number of steps that L-BFGS stores, each with two copies of the image."""

# (fraction of the result's size, steps), coarse to fine
_PRESETS = {
    Quality.PREVIEW: ((1 / 4, 150), (1 / 2, 60)),
    Quality.STANDARD: ((1 / 4, 100), (1 / 2, 60), (1, 60)),
    Quality.HIGH: ((1 / 4, 100), (1 / 2, 60), (1, 350)),
}


@dataclass(frozen=True)
class Stage:
    """A number of steps at one size."""

    width: int
    height: int
    steps: int

    @property
    def pixels(self) -> int:
        """Number of pixels of the image at this stage."""
        return self.width * self.height


def fit(width: int, height: int, longest: int) -> tuple[int, int]:
    """Scale (width, height) to a longest side of `longest` px; each side is at least 1 px."""
    scale = longest / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def plan(options: StyleOptions, width: int, height: int) -> tuple[Stage, ...]:
    """Plan the stages for a photograph of `width` x `height` px, coarse to fine.

    Raises:
        ValueError: the aspect ratio is too extreme, for any size or for this one.
    """
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ValueError(f"the photograph is more than {MAX_ASPECT_RATIO} times as long as wide")
    preset = _PRESETS[options.quality]
    full_width, full_height = fit(width, height, options.size)
    if full_width * full_height > LARGE_PX:
        fraction, steps = preset[0]
        preset = ((fraction / 2, steps), *preset)
    least = math.ceil(MIN_SHORT_SIDE_PX * max(width, height) / min(width, height))
    if options.size < least:
        raise ValueError(
            f"size must be at least {least}, so that the shorter side has at least "
            f"{MIN_SHORT_SIDE_PX} px"
        )
    merged: dict[int, int] = {}
    for fraction, steps in preset:
        longest = min(options.size, max(MIN_SIZE_PX, least, round(options.size * fraction)))
        merged[longest] = max(merged.get(longest, 0), steps)
    return tuple(Stage(*fit(width, height, longest), steps) for longest, steps in merged.items())


def first_stage(stages: Sequence[Stage], longest: int) -> int:
    """Return the index of the first stage when a painting of `longest` px is continued."""
    larger = (
        index for index, stage in enumerate(stages) if max(stage.width, stage.height) > longest
    )
    return next(larger, len(stages) - 1)


def remaining(stages: tuple[Stage, ...], step: int) -> Iterator[tuple[Stage, int]]:
    """Yield each stage with its steps after `step`, which counts over all stages."""
    for stage in stages:
        yield stage, min(stage.steps, max(0, stage.steps - step))
        step -= stage.steps
