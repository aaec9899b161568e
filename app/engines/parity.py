"""Comparison of an engine with float32 PyTorch, on synthetic images."""

import torch
from torch import Tensor
from torch.nn import functional

from app.engines.engine import Engine
from app.vision.specs import InputSpec, Preprocessing

TOLERANCE = 0.005
"""Maximum difference of any probability from float32 PyTorch, on the probes.

On real test images, engines within this tolerance predicted the same class at least 999 times in
1000, with probabilities within 0.03 (benchmarks/parity.py); an engine with 0.006 did not.
"""

INT8_TOLERANCE = 0.25
"""Tolerance for INT8 networks, which separates quantization errors from defects."""

_PROBES = 16
_SEED = 0
_STROKE = 0.35  # half the width of a stroke, in standard deviations of the noise


class ParityCheck:
    """Probe images with the probabilities of the reference."""

    def __init__(self, reference: Engine, spec: InputSpec) -> None:
        self.images = probes(spec)
        self._expected = reference.probabilities(self.images)

    def difference(self, engine: Engine, tolerance: float) -> float:
        """Return the largest difference of any probability, 0..1, as `disagreement` does."""
        return disagreement(engine.probabilities(self.images), self._expected, tolerance)


def probes(spec: InputSpec) -> list[Tensor]:
    """Generate the probe images, which are always the same: uint8 (C, H, W), 0..255.

    Networks for photographs get soft blots of color, from coarse to fine, because pixel noise does
    not resemble photographs. Networks for digits get white strokes along the edges of coarse blots.
    """
    generator = torch.Generator().manual_seed(_SEED)
    is_digit = spec.preparation is Preprocessing.DIGIT
    images = []
    for number in range(_PROBES):
        cells = 3 + number % 4 if is_digit else 2 + number
        noise = torch.randn(1, spec.channels, cells, cells, generator=generator)
        smooth = functional.interpolate(noise, (spec.height, spec.width), mode="bicubic")[0]
        image = 255 * (1 - smooth.abs() / _STROKE) if is_digit else 128 + 64 * smooth
        images.append(image.clamp(0, 255).byte())
    return images


def disagreement(found: Tensor, expected: Tensor, tolerance: float) -> float:
    """Return the largest difference of any probability; both are float32 (B, K).

    It is infinite if the predicted class differs, unless the expected probabilities of the two
    classes are within the tolerance.
    """
    difference = (found - expected).abs().max().item()
    chosen = expected.gather(1, found.argmax(dim=1, keepdim=True)).squeeze(1)
    is_same_top = (expected.amax(dim=1) - chosen <= tolerance).all()
    is_finite = bool(found.isfinite().all())
    return difference if is_same_top and is_finite else float("inf")
