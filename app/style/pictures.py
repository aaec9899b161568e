"""Between images and the float pictures that are painted on."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

PARAMETERS_KEY = "Atelier"
"""Name of the PNG text that says how a picture was made (JSON)."""

FORMATS = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG", "webp": "WEBP"}


def to_tensor(image: Image.Image, size: tuple[int, int], device: torch.device) -> Tensor:
    """Resize an RGB image to (width, height): float32 (1, 3, H, W), RGB, 0..1."""
    resized = image.resize(size, Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(resized)).to(device)  # (H, W, 3)
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div(255).contiguous()  # (1, 3, H, W)


def to_image(picture: Tensor) -> Image.Image:
    """Round a float picture (1, 3, H, W), RGB, 0..1 and clipped to it, to an 8-bit RGB image."""
    levels = picture.detach().squeeze(0).clamp(0, 1).mul(255).round()
    return Image.fromarray(levels.to("cpu", torch.uint8).permute(1, 2, 0).contiguous().numpy())


def encode(image: Image.Image, file_format: str, parameters: Mapping[str, Any]) -> bytes:
    """Encode a result as `png`, `jpeg` or `webp`; a PNG carries the parameters as text.

    No other metadata is written: nothing of the photograph's leaves with the result.

    Raises:
        ValueError: an unknown format.
    """
    if file_format not in FORMATS:
        raise ValueError(f"unknown format {file_format!r}; use {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    image = image.copy()
    image.info.clear()  # Pillow would write some of it
    if file_format == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text(PARAMETERS_KEY, json.dumps(parameters))
        image.save(buffer, "PNG", pnginfo=text)
    else:
        image.save(buffer, FORMATS[file_format], quality=95)
    return buffer.getvalue()
