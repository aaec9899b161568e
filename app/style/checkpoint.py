"""Checkpoints of unfinished paintings, from which another process can continue."""

import io
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from app.errors import AtelierError


class ResumeError(AtelierError):
    """A checkpoint from which the painting cannot continue."""


@dataclass(frozen=True)
class PaintingCheckpoint:
    """A painting after `step` steps of stage `stage` (of `schedule.plan`).

    `picture` is float32 (1, 3, H, W), RGB, nominally 0..1, of any size: it is resized if the
    painting continues at another size. The optimizer's curvature is not saved; it is learned again
    within some steps.
    """

    picture: Tensor
    stage: int
    step: int
    seed: int

    def to_bytes(self) -> bytes:
        """Serialize the checkpoint, the inverse of `from_bytes`."""
        buffer = io.BytesIO()
        torch.save({**vars(self), "picture": self.picture.cpu()}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a checkpoint.

        Raises:
            ResumeError: the data is damaged.
        """
        try:
            checkpoint = cls(**torch.load(io.BytesIO(data), weights_only=True))
            whole = checkpoint.picture.ndim == 4 and bool(checkpoint.picture.isfinite().all())
        except Exception as error:  # on hostile files torch.load raises almost any type
            raise ResumeError("The checkpoint of the painting is damaged.") from error
        if not whole or checkpoint.picture.shape[:2] != (1, 3):
            raise ResumeError("The checkpoint of the painting has no valid image.")
        return checkpoint
