"""Training and validation examples."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from training.examples import Examples

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """Disjoint training and validation examples.

    `digest` identifies the split, pixels and labels: results of runs are comparable if it is equal.
    """

    train: Examples
    validation: Examples
    digest: str


def positions(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose 80 % of `count` positions for training and 20 % for validation: int64 each."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    validation_count = round(count * VALIDATION_FRACTION)
    return order[validation_count:], order[:validation_count]


def split(examples: Examples, seed: int) -> Split:
    """Split off a random 20 % for validation. The same seed gives the same split."""
    train, validation = (examples[chosen] for chosen in positions(len(examples), seed))
    digest = hashlib.sha256()
    for part in (train, validation):
        digest.update(f"{tuple(part.images.shape)}".encode())
        digest.update(part.images.numpy().data)
        digest.update(part.labels.numpy().data)
    return Split(train, validation, digest.hexdigest()[:16])
