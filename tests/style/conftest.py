import numpy as np
import pytest
import torch
from PIL import Image

from app.style.targets import StyleTargets
from app.style.vgg import VGG19


@pytest.fixture(scope="session")
def network() -> VGG19:
    return VGG19.load(torch.device("cpu"))


@pytest.fixture(scope="session")
def targets(network: VGG19) -> StyleTargets:
    return StyleTargets(network)


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A bright disc on a dark background, 96 x 72 px."""
    y, x = np.mgrid[0:72, 0:96]
    disc = np.hypot(x - 48, y - 36) < 24
    pixels = np.where(disc[..., None], (230, 200, 90), (40, 60, 110)).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def painting() -> Image.Image:
    """Red and green stripes, 80 x 80 px."""
    x = np.mgrid[0:80, 0:80][1]
    stripes = (x // 5 % 2 == 0)[..., None]
    return Image.fromarray(np.where(stripes, (200, 40, 30), (30, 160, 60)).astype(np.uint8))
