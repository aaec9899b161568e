"""Model specs: the network, its preprocessing and the meaning of its outputs.

A spec is part of the checkpoint's sidecar, so that weights, preprocessing and class names are one
value and cannot drift apart.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from torch import nn

from app.vision.cnn import cnn
from app.vision.densenet import densenet
from app.vision.mlp import mlp

NETWORKS: dict[str, Callable[[int], nn.Module]] = {"mlp": mlp, "cnn": cnn, "densenet": densenet}

_MAX_SIDE_PX = 4096
_SMALL_INPUT_PX = 64
_OVERSAMPLING = 4  # decoded pixels per input pixel, along a side; fewer change some predictions
_MIN_STD = 1e-3


class Preprocessing(StrEnum):
    """Method that converts an image of any size to the network's input size."""

    PHOTO = "photo"  # resize the shorter side, crop the center
    DIGIT = "digit"  # crop, scale and center the digit as in MNIST


@dataclass(frozen=True)
class InputSpec:
    """The network's input and its preprocessing.

    `mean` and `std` are per channel, for pixels scaled to 0..1. `resize_px` is the length of a
    photograph's shorter side before the center crop of `height` x `width`.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preparation: Preprocessing
    resize_px: int

    def __post_init__(self) -> None:
        sizes = (self.channels, self.height, self.width, self.resize_px)
        if not all(type(size) is int and 0 < size <= _MAX_SIDE_PX for size in sizes):
            raise ValueError(f"channels and sizes must be integers from 1 to {_MAX_SIDE_PX}")
        if max(self.height, self.width) > self.resize_px:
            raise ValueError("resize_px must be at least the height and the width")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values, one per channel")
        if not all(map(math.isfinite, self.mean)) or not all(_MIN_STD <= s < 1e6 for s in self.std):
            raise ValueError(f"mean must be finite, and std at least {_MIN_STD}")

    @property
    def min_side_px(self) -> int | None:
        """Length of the shorter side, in px, above which a larger photograph adds nothing.

        None means that the full size is needed: a digit may be a small part of a photograph, and
        the predictions of a network with a small input change with the slightest difference.
        """
        if self.preparation is Preprocessing.DIGIT or self.resize_px < _SMALL_INPUT_PX:
            return None
        return _OVERSAMPLING * self.resize_px

    def sized(self, side_px: int) -> "InputSpec":
        """Return this spec for a square input of another size, with the same crop ratio."""
        resize_px = round(side_px * self.resize_px / min(self.height, self.width))
        return replace(self, height=side_px, width=side_px, resize_px=resize_px)


@dataclass(frozen=True)
class ModelSpec:
    """A served model, without its weights.

    `aliases` maps other folder names for a class, in lower case, to the class.
    """

    name: str
    network: str
    classes: tuple[str, ...]
    input: InputSpec
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"unknown network {self.network!r}; known: {', '.join(NETWORKS)}")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes must be two or more distinct names")
        own = {name.casefold() for name in self.classes}
        if not set(self.aliases.values()) <= set(self.classes) or own & set(self.aliases):
            raise ValueError("aliases must map to classes, and differ from them")

    def class_of(self, folder: str) -> int | None:
        """Return the index of the class with the name of a folder, ignoring case."""
        indices = {name.casefold(): index for index, name in enumerate(self.classes)}
        name = self.aliases.get(folder.casefold(), folder)
        return indices.get(name.casefold())

    def build(self) -> nn.Module:
        """Build the network with fresh weights: (B, C, H, W) -> (B, classes), (log-)logits."""
        return NETWORKS[self.network](len(self.classes))

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Parse a spec.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        fields = dict(value)
        values = dict(fields.pop("input"))
        values["mean"] = tuple(map(float, values["mean"]))
        values["std"] = tuple(map(float, values["std"]))
        values["preparation"] = Preprocessing(values["preparation"])
        fields["classes"] = tuple(map(str, fields["classes"]))
        fields["aliases"] = {str(k): str(v) for k, v in fields.get("aliases", {}).items()}
        return cls(**fields, input=InputSpec(**values))


MNIST = ModelSpec(
    name="mnist",
    network="mlp",
    classes=tuple("0123456789"),
    input=InputSpec(
        channels=1,
        height=28,
        width=28,
        mean=(0.1307,),
        std=(0.3081,),
        preparation=Preprocessing.DIGIT,
        resize_px=28,
    ),
    aliases=dict(
        zip(
            ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            "0123456789",
            strict=True,
        )
    ),
)
CIFAR10 = ModelSpec(
    name="cifar10",
    network="cnn",
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    input=InputSpec(
        channels=3,
        height=32,
        width=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        preparation=Preprocessing.PHOTO,
        resize_px=32,
    ),
    aliases={
        "aeroplane": "airplane",
        "airplanes": "airplane",
        "plane": "airplane",
        "planes": "airplane",
        "auto": "automobile",
        "automobiles": "automobile",
        "car": "automobile",
        "cars": "automobile",
        "birds": "bird",
        "cats": "cat",
        "deers": "deer",
        "dogs": "dog",
        "frogs": "frog",
        "horses": "horse",
        "boat": "ship",
        "boats": "ship",
        "ships": "ship",
        "lorry": "truck",
        "trucks": "truck",
    },
)
CATDOG = ModelSpec(
    name="catdog",
    network="densenet",
    classes=("cat", "dog"),
    input=InputSpec(
        channels=3,
        height=144,
        width=144,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        preparation=Preprocessing.PHOTO,
        resize_px=164,
    ),
    aliases={"cats": "cat", "dogs": "dog"},
)
SPECS = {spec.name: spec for spec in (MNIST, CIFAR10, CATDOG)}
