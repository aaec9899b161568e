"""The interface of engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class EngineKind:
    """The name of an engine and the dtype that it computes in, such as `bfloat16`."""

    name: str
    dtype: str

    def __str__(self) -> str:
        """Return the name and the dtype."""
        return f"{self.name} {self.dtype}"


class Engine(Protocol):
    """An alternative implementation of `Classifier.probabilities`. Used by one thread."""

    @property
    def kind(self) -> EngineKind:
        """The kind of engine."""
        ...

    def probabilities(self, images: Sequence[Tensor]) -> Tensor:
        """Classify preprocessed images, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        ...
