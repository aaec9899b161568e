"""What is kept of a painting in progress, so that another process can go on with it."""

import io
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from app.errors import AtelierError


class ResumeError(AtelierError):
    """A painting in progress that cannot be gone on with."""


@dataclass(frozen=True)
class Checkpoint:
    """A painting after `step` steps of stage `stage` (of `schedule.plan`).

    `picture` is float32 (1, 3, H, W), RGB, nominally 0..1, of any size: going on at another size
    resizes it. The optimiser's curvature is not kept; it is learnt again within some steps.
    """

    picture: Tensor
    stage: int
    step: int
    seed: int

    def to_bytes(self) -> bytes:
        """Serialise, the inverse of `from_bytes`."""
        buffer = io.BytesIO()
        torch.save({**vars(self), "picture": self.picture.cpu()}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a checkpoint.

        Raises:
            ResumeError: the data is damaged.
        """
        try:
            checkpoint = cls(**torch.load(io.BytesIO(data), weights_only=True))
            whole = checkpoint.picture.ndim == 4 and bool(checkpoint.picture.isfinite().all())
        except Exception as error:  # on hostile files torch.load raises almost any type
            raise ResumeError("the painting in progress is damaged") from error
        if not whole or checkpoint.picture.shape[:2] != (1, 3):
            raise ResumeError("the checkpoint has no whole picture")
        return checkpoint
