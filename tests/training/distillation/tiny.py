"""A tiny recipe, and a teacher that knows colors."""

from dataclasses import replace

import torch
from torch import Tensor

from training.densenet_backbone import RECIPE

TINY = replace(
    RECIPE,
    sizes_px=(32, 48),
    epochs=(2, 1),
    batch_size=4,
    lesson_count=2,
    view_px=48,
    teacher_px=32,
    compare_every=2,
)


def color_teacher(images: Tensor) -> Tensor:
    """Take red for a cat and blue for a dog: uint8 (B, 3, H, W) -> logits (B, 1000)."""
    red, _, blue = images.float().mean(dim=(2, 3)).unbind(dim=1)
    logits = torch.zeros(len(images), 1000)
    logits[:, 281] = red / 20
    logits[:, 151] = blue / 20
    return logits
