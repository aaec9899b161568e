"""What is served by default answers as float32 PyTorch does, on real test images."""

from pathlib import Path

import pytest
import torch

from app.engines.candidates import EngineOptions
from app.engines.choice import choose
from app.vision.classifier import Classifier
from benchmarks.parity import compare, encoded_tests
from tests.service import ROOT


@pytest.mark.parametrize(("model", "count"), [("mnist", 500), ("cifar10", 500), ("catdog", 60)])
def test_what_is_served_answers_as_the_exact_network(
    model: str, count: int, datasets: Path, tmp_path: Path
) -> None:
    classifier = Classifier.load(model, ROOT / "models", torch.device("cpu"))
    options = EngineOptions(
        "auto", threads=1, compiled=False, cache=tmp_path, models=ROOT / "models"
    )
    files = encoded_tests(model, datasets)[:count]
    found = compare(classifier, choose(classifier, options).engine, files)
    assert found.same >= found.count - 1
    assert found.largest <= 0.03
