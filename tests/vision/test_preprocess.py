from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from app.vision.preprocess import normalize, preprocess
from app.vision.specs import CIFAR10, InputSpec
from tests.pictures import photograph

PHOTO = replace(CIFAR10.input, height=48, width=48, resize_px=56)


@pytest.mark.parametrize("size", [(100, 80), (80, 100), (57, 57), (640, 97), (300, 400)])
def test_photographs_are_resized_and_cropped_as_in_torchvision(size: tuple[int, int]) -> None:
    image = photograph(*size)
    expected = v2.functional.pil_to_tensor(v2.CenterCrop(48)(v2.Resize(56)(image)))
    ours = preprocess(image, PHOTO)
    assert (ours.dtype, ours.shape) == (torch.uint8, (3, 48, 48))
    difference = (ours.int() - expected.int()).abs().float()
    assert difference.mean() < 0.3  # apart from rounding, only the crop's edge may differ


def test_image_of_the_input_size_is_unchanged() -> None:
    image = photograph(32, 32)
    pixels = preprocess(image, CIFAR10.input).permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 65_000), (65_000, 1), (3, 2)])
def test_crop_happens_before_enlargement(size: tuple[int, int]) -> None:
    assert preprocess(Image.new("RGB", size, "red"), PHOTO).shape == (3, 48, 48)


def test_gray_network_gets_one_channel() -> None:
    spec = InputSpec(1, 8, 8, (0.5,), (0.5,), PHOTO.preparation, 8)
    assert preprocess(photograph(), spec).shape == (1, 8, 8)


def test_normalize_scales_and_shifts_each_channel() -> None:
    spec = replace(PHOTO, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    batch = torch.tensor([0, 255, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalize(batch, spec).flatten().tolist() == [0.0, 1.0, 0.0]
