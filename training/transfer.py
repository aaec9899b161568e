"""Transfer learning: tasks that start from pretrained weights."""

import copy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from app.vision.checkpoint import ModelCard
from app.vision.densenet import head
from training import features
from training.backbone import Backbone, BackboneError, Photographs
from training.examples import Examples
from training.runs import RunError
from training.seeding import seed_torch
from training.splits import Split
from training.task import Task


@dataclass(frozen=True, kw_only=True)
class HeadTask(Task):
    """Training of the head alone, on features of a frozen backbone.

    Its batch-norm statistics are frozen, too. There are features of each training image and of
    `view_count` - 1 augmented views of it; each step uses one of them at random.
    """

    backbone: Backbone
    view_count: int
    view_seed: int
    split_seed: int

    @property
    def start(self) -> str:
        """Return the name of the initial weights."""
        return f"backbone {self.backbone.name}"

    @property
    def origin(self) -> dict[str, Any]:
        """Describe the weights for a checkpoint."""
        return {"trained": "head", "views": self.view_count, "backbone": dict(self.backbone.origin)}

    def build(self) -> nn.Module:
        """Build the head: float32 (B, 1024) -> (B, classes), log-probabilities."""
        return head(len(self.spec.classes))

    def lessons(self, data: Split, device: torch.device, folder: Path, console: Console) -> Split:
        """Convert images to float32 features: (N, views, 1024) to train, (M, 1, 1024) to validate.

        They are computed in float32, as they will be when the model is served.

        Raises:
            BackboneError: the backbone was trained on other photographs, possibly on validation
                photographs.
        """
        seen = self.backbone.photographs
        if seen not in (None, Photographs(len(data.train), self.split_seed)):
            raise BackboneError(
                f"the backbone was trained on {seen.count:,} photographs with --split-seed "
                f"{seen.split_seed}, and may have seen some of those to validate on; give the same "
                "--data-dir, --split-seed and --limit"
            )
        compute = partial(self._features, data, device, console)
        found = features.kept(folder / "features.pt", self._identity(data, device), compute)
        return Split(
            Examples(found["train"], data.train.labels),
            Examples(found["validation"], data.validation.labels),
            data.digest,
        )

    def varied(self, images: Tensor) -> Tensor:
        """Choose a view of each image: float32 (B, views, 1024) -> (B, 1024)."""
        count, views, _ = images.shape
        chosen = torch.randint(views, (count,), device=images.device)
        return images[torch.arange(count, device=images.device), chosen]

    def plain(self, images: Tensor) -> Tensor:
        """Take the original image: float32 (B, views, 1024) -> (B, 1024)."""
        return images[:, 0]

    def complete(self, trained: nn.Module) -> nn.Module:
        """Combine backbone and head."""
        network = self.spec.build()
        weights = {f"classifier.{name}": value for name, value in trained.state_dict().items()}
        network.load_state_dict({**self.backbone.state, **weights})
        device = next(trained.parameters()).device
        return network.to(device).eval().requires_grad_(False)

    def _identity(self, data: Split, device: torch.device) -> dict[str, Any]:
        return {
            "backbone": self.backbone.name,
            "split": data.digest,
            "input": asdict(self.spec.input),
            "augmentation": self.augment.to_json(),
            "views": [self.view_count, self.view_seed],
            "device": device.type,
        }

    def _features(self, data: Split, device: torch.device, console: Console) -> dict[str, Tensor]:
        seed_torch(self.view_seed)
        of_views = partial(features.of_views, self.backbone.network().to(device), console=console)
        views = (None, *[self.augment] * (self.view_count - 1))
        spec = self.spec.input
        return {
            "train": of_views(data.train.images.to(device), spec, views),
            "validation": of_views(data.validation.images.to(device), spec, (None,)),
        }


@dataclass(frozen=True, kw_only=True)
class FineTuning(Task):
    """Training of a whole pretrained network, on pixels."""

    card: ModelCard
    network: nn.Module

    @property
    def start(self) -> str:
        """Return the name of the initial weights."""
        return f"checkpoint {self.card.version}"

    @property
    def origin(self) -> dict[str, Any]:
        """Describe the weights for a checkpoint."""
        return {
            "trained": "all weights",
            "started_from": {"sha256": self.card.sha256, "training": self.card.training},
        }

    def lessons(self, data: Split, device: torch.device, folder: Path, console: Console) -> Split:
        """Return the images, after checking that the network was not trained on validation images.

        Raises:
            RunError: the network was trained on another split.
        """
        if data.digest != self.card.data.split:
            raise RunError(
                "the head was trained on other images or on another split of them; give the same "
                "--data-dir, --split-seed and --limit"
            )
        return super().lessons(data, device, folder, console)

    def build(self) -> nn.Module:
        """Return a copy of the network with trainable weights."""
        return copy.deepcopy(self.network).requires_grad_(True)
