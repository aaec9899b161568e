"""A loaded model: images in, class probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from app.vision import checkpoint
from app.vision.checkpoint import ModelCard
from app.vision.preprocess import normalize, preprocess


@dataclass(frozen=True)
class Prediction:
    """One class and its probability, 0..1."""

    label: str
    index: int
    probability: float


class Classifier:
    """The network of a checkpoint on a device, with its preprocessing and class names."""

    def __init__(self, card: ModelCard, network: nn.Module, device: torch.device) -> None:
        self.card = card
        self.network = network.to(device).eval()
        self.device = device
        self.dtype = torch.float32

    @classmethod
    def load(cls, name: str, folder: Path, device: torch.device) -> "Classifier":
        """Load `folder/NAME.pt`; raise CheckpointError as `checkpoint.load` does."""
        card, network = checkpoint.load(name, folder)
        return cls(card, network, device)

    def preprocess(self, image: Image.Image) -> Tensor:
        """Convert an RGB image of any size to network input: uint8 (C, H, W), 0..255."""
        return preprocess(image, self.card.spec.input)

    @torch.inference_mode()
    def probabilities(self, images: Sequence[Tensor]) -> Tensor:
        """Classify preprocessed images, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        batch = torch.stack(list(images)).to(self.device)  # (B, C, H, W)
        outputs: Tensor = self.network(normalize(batch, self.card.spec.input))
        return outputs.float().softmax(dim=1).cpu()

    def top_k(self, probabilities: Tensor, k: int) -> list[Prediction]:
        """Return the `k` most probable classes, best first, from float32 (classes,)."""
        classes = self.card.spec.classes
        best = probabilities.topk(min(k, len(classes)))
        return [
            Prediction(classes[index], index, probability)
            for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
