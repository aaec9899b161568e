"""Labeled images in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Labeled images: uint8 (N, C, H, W), 0..255, and class indices, int64 (N,).

    A task that trains on something else than pixels may have that in place of `images`, with the
    same first dimension.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor | slice) -> "Examples":
        return Examples(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> "Examples":
        """Return the same examples on another device."""
        return Examples(self.images.to(device), self.labels.to(device))


def spaced(count: int, limit: int | None) -> Tensor:
    """Choose `limit` of `count` positions, evenly spaced; all where there is no limit: int64."""
    if limit is None or limit >= count:
        return torch.arange(count)
    return torch.arange(limit) * count // limit
