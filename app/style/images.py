"""Conversion between images and tensors, and encoding of results."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

PARAMETERS_KEY = "Atelier"
"""Keyword of the PNG text chunk with the parameters of a painting (JSON)."""

FORMATS = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG", "webp": "WEBP"}


def to_tensor(image: Image.Image, size: tuple[int, int], device: torch.device) -> Tensor:
    """Resize an RGB image to (width, height); return float32 (1, 3, H, W), RGB, 0..1."""
    resized = image.resize(size, Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(resized)).to(device)  # (H, W, 3)
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div(255).contiguous()  # (1, 3, H, W)


def to_image(painting: Tensor) -> Image.Image:
    """Clip a float tensor (1, 3, H, W), RGB, to 0..1 and round it to an 8-bit RGB image."""
    levels = painting.detach().squeeze(0).clamp(0, 1).mul(255).round()
    return Image.fromarray(levels.to("cpu", torch.uint8).permute(1, 2, 0).contiguous().numpy())


def encode(image: Image.Image, file_format: str, parameters: Mapping[str, Any]) -> bytes:
    """Encode a result as `png`, `jpeg` or `webp`; a PNG contains the parameters as text.

    No other metadata is written, so that the result reveals nothing about the photograph.

    Raises:
        ValueError: the format is unknown.
    """
    if file_format not in FORMATS:
        raise ValueError(f"unknown format {file_format!r}; use {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    image = image.copy()
    image.info.clear()  # otherwise Pillow would write some of the metadata
    if file_format == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text(PARAMETERS_KEY, json.dumps(parameters))
        image.save(buffer, "PNG", pnginfo=text)
    else:
        image.save(buffer, FORMATS[file_format], quality=95)
    return buffer.getvalue()
