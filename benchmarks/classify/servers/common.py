"""Code that all peers share: the measured model, and its prediction for one or several pictures."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from app.vision.classifier import Classifier

MODEL = "BENCHMARK_MODEL"
FOLDER = "BENCHMARK_MODELS_DIR"


def load(device: str = "cpu") -> Classifier:
    """Load the model that the benchmark names."""
    return Classifier.load(os.environ[MODEL], Path(os.environ[FOLDER]), torch.device(device))


def prepared(classifier: Classifier, data: bytes) -> Tensor:
    """Decode and prepare as usual: uint8 (C, H, W)."""
    return classifier.preprocess(Image.open(io.BytesIO(data)).convert("RGB"))


def answers(classifier: Classifier, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Run the network and describe each picture's best classes."""
    return [
        {"predictions": [vars(each) for each in classifier.top_k(row, 5)]}
        for row in classifier.probabilities(pictures)
    ]
