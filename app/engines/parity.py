"""Comparison of an engine with float32 PyTorch, on synthetic pictures."""

import torch
from torch import Tensor
from torch.nn import functional

from app.engines.engine import Engine
from app.vision.specs import InputSpec, Preparation

TOLERANCE = 0.005
"""Largest difference of any probability from float32 PyTorch's, on the probes.

On real test images, engines that keep to it named the same class at least 999 times in 1000, with
probabilities within 0.03 (benchmarks/parity.py); one that had 0.006 did not.
"""

INT8_TOLERANCE = 0.25
"""The same for networks in INT8: it tells what was quantised from what is broken."""

_PROBES = 16
_SEED = 0
_STROKE = 0.35  # half the width of a stroke, in standard deviations of the noise


class Parity:
    """Pictures, and what the reference answers to them."""

    def __init__(self, reference: Engine, spec: InputSpec) -> None:
        self.pictures = probes(spec)
        self._expected = reference.probabilities(self.pictures)

    def difference(self, engine: Engine, tolerance: float) -> float:
        """Return the largest difference of any probability, 0..1, as `disagreement` does."""
        return disagreement(engine.probabilities(self.pictures), self._expected, tolerance)


def probes(spec: InputSpec) -> list[Tensor]:
    """Make the pictures that engines are compared on, always the same: uint8 (C, H, W), 0..255.

    Soft blots of colour, from coarse to fine, for networks that know photographs: noise of single
    pixels looks like none. For those that know digits, white strokes where coarse blots would end.
    """
    generator = torch.Generator().manual_seed(_SEED)
    is_digit = spec.preparation is Preparation.DIGIT
    made = []
    for number in range(_PROBES):
        cells = 3 + number % 4 if is_digit else 2 + number
        noise = torch.randn(1, spec.channels, cells, cells, generator=generator)
        smooth = functional.interpolate(noise, (spec.height, spec.width), mode="bicubic")[0]
        picture = 255 * (1 - smooth.abs() / _STROKE) if is_digit else 128 + 64 * smooth
        made.append(picture.clamp(0, 255).byte())
    return made


def disagreement(answers: Tensor, expected: Tensor, tolerance: float) -> float:
    """Return the largest difference of any probability, both float32 (B, K).

    It is infinite where another class comes first; of two that are closer than the tolerance,
    either may.
    """
    difference = (answers - expected).abs().max().item()
    chosen = expected.gather(1, answers.argmax(dim=1, keepdim=True)).squeeze(1)
    is_same_top = (expected.amax(dim=1) - chosen <= tolerance).all()
    is_finite = bool(answers.isfinite().all())
    return difference if is_same_top and is_finite else float("inf")
