"""The interface of an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Kind:
    """An engine's name and what its products are computed in, such as `bfloat16`."""

    name: str
    dtype: str

    def __str__(self) -> str:
        """Show both."""
        return f"{self.name} {self.dtype}"


class Engine(Protocol):
    """Answers as `Classifier.probabilities` does, in a way of its own. Used by one thread."""

    @property
    def kind(self) -> Kind:
        """The kind of engine."""
        ...

    def probabilities(self, pictures: Sequence[Tensor]) -> Tensor:
        """Classify prepared pictures, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        ...
