"""Preprocessing: from RGB images to network input."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from app.vision.digits import normalize_digit
from app.vision.specs import InputSpec, Preprocessing


def preprocess(image: Image.Image, spec: InputSpec) -> Tensor:
    """Convert an RGB image of any size to network input: uint8 (C, H, W), 0..255."""
    if spec.preparation is Preprocessing.DIGIT:
        processed = normalize_digit(image)
    else:
        processed = _center_crop(image.convert("RGB" if spec.channels == 3 else "L"), spec)
    pixels = torch.from_numpy(np.array(processed))
    return pixels.reshape(spec.height, spec.width, -1).permute(2, 0, 1).contiguous()  # (C, H, W)


def normalize(batch: Tensor, spec: InputSpec) -> Tensor:
    """Scale uint8 (B, C, H, W) to 0..1, zero mean and unit variance: float32 (B, C, H, W)."""
    mean = torch.tensor(spec.mean, device=batch.device).view(-1, 1, 1)  # (C, 1, 1)
    std = torch.tensor(spec.std, device=batch.device).view(-1, 1, 1)  # (C, 1, 1)
    return batch.float().div_(255).sub_(mean).div_(std)


def _center_crop(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Resize the shorter side to `resize_px` and crop the center.

    Both happen in one step that resamples only the pixels under the crop, so that an extreme
    aspect ratio costs nothing.
    """
    shorter = min(image.size)
    resized = [int(spec.resize_px * side / shorter) for side in image.size]
    target = (spec.width, spec.height)
    start = [round((have - want) / 2) for have, want in zip(resized, target, strict=True)]
    scale = [side / have for side, have in zip(image.size, resized, strict=True)]
    left, top = (at * factor for at, factor in zip(start, scale, strict=True))
    right, bottom = (
        (at + want) * factor for at, want, factor in zip(start, target, scale, strict=True)
    )
    return image.resize(target, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
