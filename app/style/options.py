"""Options of a painting. This module does not import PyTorch."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

MIN_SIZE_PX = 64
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
MAX_ASPECT_RATIO = 8
MIN_STYLE_SCALE = 0.1
MAX_STYLE_SCALE = 4
LARGEST_SEED = 2**63 - 1
LARGEST_WEIGHT = 1e12  # keeps losses far from overflow


class Quality(StrEnum):
    """Effort spent on a painting."""

    PREVIEW = "preview"  # painted at half the size, then enlarged
    STANDARD = "standard"
    HIGH = "high"


class Color(StrEnum):
    """Source of the result's colors."""

    STYLE = "style"
    CONTENT = "content"  # only the brightness is painted; the photograph's colors are kept
    MATCH = "match"  # the style image is recolored to match the photograph first


class Init(StrEnum):
    """Initial image of a painting."""

    CONTENT = "content"
    NOISE = "noise"


@dataclass(frozen=True)
class StyleOptions:
    """All options of a painting. The defaults are defined only here.

    `size` is the longest side of the result in pixels. `strength` (0..1) balances photograph and
    style; `content_weight` and `style_weight` (alpha and beta of Gatys et al. 2016) replace it.
    `style_weights` blends several style images, equally by default; `layer_weights` belong to
    `STYLE_LAYERS`. `style_scale` is the longest side of the style image relative to the result's.
    The seed determines the noise of `Init.NOISE`; it is random by default.

    Raises:
        ValueError: an option is out of range; the message names it.
    """

    size: int = 512
    quality: Quality = Quality.STANDARD
    strength: float = 0.5
    content_weight: float | None = None
    style_weight: float | None = None
    style_weights: tuple[float, ...] | None = None
    layer_weights: tuple[float, ...] = (1.0,) * len(STYLE_LAYERS)
    color: Color = Color.STYLE
    style_scale: float = 1.0
    init: Init = Init.CONTENT
    seed: int = field(default_factory=lambda: secrets.randbelow(2**32))

    def __post_init__(self) -> None:
        if self.size < MIN_SIZE_PX:
            raise ValueError(f"size must be at least {MIN_SIZE_PX} px")
        if not 0 <= self.strength <= 1:
            raise ValueError("strength must be between 0 and 1")
        if (self.content_weight is None) != (self.style_weight is None):
            raise ValueError("content_weight and style_weight must be set together")
        if len(self.layer_weights) != len(STYLE_LAYERS):
            raise ValueError(f"layer_weights must have {len(STYLE_LAYERS)} numbers")
        if not MIN_STYLE_SCALE <= self.style_scale <= MAX_STYLE_SCALE:
            raise ValueError(f"style_scale must be between {MIN_STYLE_SCALE} and {MAX_STYLE_SCALE}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must be between 0 and {LARGEST_SEED}")
        _check_weights("layer_weights", self.layer_weights)
        if self.style_weights is not None:
            _check_weights("style_weights", self.style_weights)
        if self.content_weight is not None and self.style_weight is not None:
            _check_weights(
                "content_weight and style_weight", (self.content_weight, self.style_weight)
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Parse options that were serialized with `dataclasses.asdict` and JSON.

        Unknown keys are ignored.

        Raises:
            ValueError: an option is out of range or invalid.
        """
        given = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        for name in ("layer_weights", "style_weights"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        for name, kind in (("quality", Quality), ("color", Color), ("init", Init)):
            if name in given:
                given[name] = kind(given[name])
        return cls(**given)

    def blend(self, style_count: int) -> tuple[float, ...]:
        """Return the share of each of `style_count` style images; the shares add up to 1.

        Raises:
            ValueError: `style_weights` has another number of values.
        """
        weights = self.style_weights or (1.0,) * style_count
        if style_count < 1 or len(weights) != style_count:
            raise ValueError(f"style_weights has {len(weights)} numbers for {style_count} styles")
        return tuple(weight / sum(weights) for weight in weights)


def _check_weights(name: str, weights: tuple[float, ...]) -> None:
    if not all(0 <= weight <= LARGEST_WEIGHT for weight in weights):
        raise ValueError(f"{name} must be between 0 and {LARGEST_WEIGHT:g}")
    if not any(weights):
        raise ValueError(f"{name} must not all be zero")
