"""Backbones: the pretrained convolutional part of DenseNet-121."""

import hashlib
import io
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import DenseNet121_Weights, densenet121

from app.errors import AtelierError

_CLASSIFIER = "classifier."
_ADVICE = (
    "Name a file with --backbone, or make one by: python -m training.densenet_backbone "
    "(see docs/training.md)."
)

_WITHOUT_SIDECAR = "put the right file there, or delete it to use weights of unknown origin."


class BackboneError(AtelierError):
    """The weights cannot be downloaded, or the file does not contain them."""


@dataclass(frozen=True)
class Photographs:
    """The number of training photographs, and the seed of their choice."""

    count: int
    split_seed: int


@dataclass(frozen=True)
class Backbone:
    """Weights without a classifier, with torchvision's names, and their origin.

    `origin` has JSON types. `imagenet` says whether the weights are torchvision's own;
    `photographs` are the training photographs, if there were any.
    """

    state: Mapping[str, Tensor]
    origin: Mapping[str, Any]
    imagenet: bool
    photographs: "Photographs | None"

    @property
    def name(self) -> str:
        """A short name that identifies the weights."""
        digest = hashlib.sha256()
        for tensor in self.state.values():
            digest.update(tensor.numpy().data)
        return digest.hexdigest()[:12]

    def network(self) -> nn.Module:
        """Build the network: float32 (B, 3, H, W), normalized -> features, float32 (B, 1024)."""
        network: nn.Module = densenet121()
        network.classifier = nn.Identity()
        network.load_state_dict(self.state)
        return network.eval().requires_grad_(False)


def find_backbone(path: Path | None) -> Backbone:
    """Load a backbone from a file or, without one, torchvision's, which may be downloaded.

    Raises:
        BackboneError: it cannot be downloaded, or the file does not contain it.
    """
    return _from_torchvision() if path is None else _from_file(path)


def _from_torchvision() -> Backbone:
    weights = DenseNet121_Weights.IMAGENET1K_V1
    try:
        network = densenet121(weights=weights, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise BackboneError(
            f"torchvision's ImageNet weights could not be downloaded: {error}\n{_ADVICE}"
        ) from error
    return Backbone(
        _without_classifier(network.state_dict()),
        {"weights": f"torchvision {weights}", "url": weights.url},
        imagenet=True,
        photographs=None,
    )


def _from_file(path: Path) -> Backbone:
    try:
        data = path.read_bytes()
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        sha256 = hashlib.sha256(data).hexdigest()
        made, photographs = _sidecar(path.with_suffix(".json"), sha256)
        backbone = Backbone(
            _without_classifier({_modern(name): tensor for name, tensor in state.items()}),
            {"file": path.name, "sha256": sha256, "made": made or "unknown"},
            imagenet=not made and _is_torchvisions(sha256),
            photographs=photographs,
        )
        backbone.network()
    except BackboneError:
        raise
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror}. {_ADVICE}") from error
    except Exception as error:  # other files than a state_dict may raise any error
        reason = str(error).partition("\n")[0].rstrip(".")
        raise BackboneError(
            f"{path} does not hold a state_dict of torchvision's densenet121: {reason}. {_ADVICE}"
        ) from error
    return backbone


def _is_torchvisions(sha256: str) -> bool:
    """Return whether this is the hash in the name of torchvision's own file."""
    name = PurePosixPath(DenseNet121_Weights.IMAGENET1K_V1.url).stem  # such as densenet121-a639ec97
    return sha256.startswith(name.rpartition("-")[2])


def _modern(name: str) -> str:
    """Translate a name from torchvision's own download, which is older than its network."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if not name.startswith(_CLASSIFIER)
    }


def _sidecar(path: Path, sha256: str) -> tuple[dict[str, Any], Photographs | None]:
    """Return the contents of the JSON file beside a backbone, or nothing if there is none."""
    if not path.exists():
        return {}, None
    try:
        made = dict(json.loads(path.read_text(encoding="utf-8")))
        photographs = Photographs(int(made["photographs"]), int(made["split_seed"]))
        described = made["sha256"]
    except KeyError as error:
        raise BackboneError(f"{path} does not say {error}; {_WITHOUT_SIDECAR}") from error
    except (OSError, ValueError, TypeError) as error:
        raise BackboneError(f"{path} cannot be read: {error}; {_WITHOUT_SIDECAR}") from error
    if described != sha256:
        raise BackboneError(f"{path} describes other weights; {_WITHOUT_SIDECAR}")
    return made, photographs
