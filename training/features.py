"""Features of a frozen network, computed once and cached on disk."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from app.files import atomic_write
from app.vision.specs import InputSpec
from training.augment import Augmentation
from training.loop import predict
from training.progress import tracked

_BATCH = 64


def of_views(
    network: nn.Module,
    images: Tensor,
    spec: InputSpec,
    views: tuple[Augmentation | None, ...],
    console: Console,
) -> Tensor:
    """Compute the features of several views of each image; None stands for the image as it is.

    Args:
        network: in eval mode: float32 (B, C, H, W), normalized -> float32 (B, F).
        images: uint8 (N, C, H, W), 0..255, on the network's device.
        spec: the network's input.
        views: V variations of each image.
        console: where progress is shown.

    Returns:
        float32 (N, V, F), on the CPU.
    """
    rows = []
    for batch in tracked(torch.split(images, _BATCH), "features", console):
        features = [
            predict(network, batch if vary is None else vary(batch), spec).cpu() for vary in views
        ]
        rows.append(torch.stack(features, dim=1))  # (B, V, F)
    return torch.cat(rows)


def kept(
    path: Path, identity: Mapping[str, Any], compute: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Read what was kept at `path`, or compute and keep it where `identity` was another.

    `identity` is everything that decides the result, as JSON types.
    """
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        if found["key"] == key:
            return dict(found["values"])
    except Exception:  # noqa: S110 - a file that is missing or damaged is replaced
        pass
    values = compute()
    with atomic_write(path) as file:
        torch.save({"key": key, "values": values}, file)
    return values
