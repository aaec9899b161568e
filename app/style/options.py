"""Options of a painting. Importing this does not import PyTorch."""

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
LARGEST_WEIGHT = 1e12  # losses stay far from overflow


class Quality(StrEnum):
    """The quality of a painting, which decides its number of steps."""

    PREVIEW = "preview"  # painted at half the size, then enlarged
    STANDARD = "standard"
    HIGH = "high"


class Color(StrEnum):
    """The source of the result's colors."""

    STYLE = "style"
    CONTENT = "content"  # brightness is painted, the photograph's colours are kept
    MATCH = "match"  # the style image is recoloured like the photograph before it is used


class Init(StrEnum):
    """The picture that the optimization starts from."""

    CONTENT = "content"
    NOISE = "noise"


@dataclass(frozen=True)
class StyleOptions:
    """All options of a painting. The defaults stand here and nowhere else.

    `size` is the longest side of the result in pixels. `strength` (0..1) shares the picture between
    photograph and style; naming `content_weight` and `style_weight` (alpha and beta of Gatys et
    al. 2016) replaces it. `style_weights` blends several style images and is equal shares when left
    out; `layer_weights` belong to `STYLE_LAYERS`. `style_scale` is the longest side of the style
    image relative to the result's. The seed decides the noise that `Init.NOISE` starts from; it is
    drawn unless given.

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
            raise ValueError("strength must lie between 0 and 1")
        if (self.content_weight is None) != (self.style_weight is None):
            raise ValueError("content_weight and style_weight go together")
        if len(self.layer_weights) != len(STYLE_LAYERS):
            raise ValueError(f"layer_weights needs {len(STYLE_LAYERS)} numbers")
        if not MIN_STYLE_SCALE <= self.style_scale <= MAX_STYLE_SCALE:
            raise ValueError(
                f"style_scale must lie between {MIN_STYLE_SCALE} and {MAX_STYLE_SCALE}"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must lie between 0 and {LARGEST_SEED}")
        _check_weights("layer_weights", self.layer_weights)
        if self.style_weights is not None:
            _check_weights("style_weights", self.style_weights)
        if self.content_weight is not None and self.style_weight is not None:
            _check_weights(
                "content_weight and style_weight", (self.content_weight, self.style_weight)
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build the options from what `dataclasses.asdict` and JSON made of them.

        Other values are left out.

        Raises:
            ValueError: an option is out of range or has no such name.
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
            ValueError: `style_weights` was given for another number of styles.
        """
        weights = self.style_weights or (1.0,) * style_count
        if style_count < 1 or len(weights) != style_count:
            raise ValueError(f"style_weights has {len(weights)} numbers for {style_count} styles")
        return tuple(weight / sum(weights) for weight in weights)


def _check_weights(name: str, weights: tuple[float, ...]) -> None:
    if not all(0 <= weight <= LARGEST_WEIGHT for weight in weights):
        raise ValueError(f"{name} must lie between 0 and {LARGEST_WEIGHT:g}")
    if not any(weights):
        raise ValueError(f"{name} must not all be zero")
