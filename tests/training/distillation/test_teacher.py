from pathlib import Path

import pytest
import torch

from app.vision.preprocess import preprocess
from app.vision.specs import CATDOG
from training.data import Part, read_catdog_photographs
from training.distillation.teacher import Teacher

_DOGS = range(151, 269)  # of ImageNet's classes


@pytest.fixture
def teacher(device: torch.device) -> Teacher:
    return Teacher(64, device)


def test_a_teacher_answers_pictures_of_any_size(teacher: Teacher) -> None:
    images = torch.randint(0, 256, (2, 3, 40, 56), dtype=torch.uint8)
    logits = teacher(images)
    assert logits.shape == (2, 1000)
    assert (logits.dtype, logits.device.type) == (torch.float32, "cpu")
    assert torch.equal(logits, teacher(images))
    assert not any(weights.requires_grad for weights in teacher.parameters())


def test_it_knows_dogs(datasets: Path) -> None:
    images, labels = read_catdog_photographs(datasets, Part.TRAIN, 60)
    views = torch.stack([preprocess(image, CATDOG.input.sized(128)) for image in images])
    named = Teacher(192, torch.device("cpu"))(views).argmax(dim=1)
    dogs = torch.tensor([index in _DOGS for index in named.tolist()])
    assert dogs[labels == 1].float().mean() > 0.8
    assert dogs[labels == 0].float().mean() < 0.4
