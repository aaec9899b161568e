"""Served engines match float32 PyTorch on real test images."""

from pathlib import Path

import pytest
import torch

from app.engines import quantized
from app.engines.openvino import OpenVinoEngine
from app.engines.options import EngineOptions
from app.engines.parity import INT8_TOLERANCE, ParityCheck
from app.engines.pytorch import ReferenceEngine
from app.engines.selection import select_engine
from app.vision.classifier import Classifier
from benchmarks.parity import compare, encoded_tests, enlarged
from tests.service import MODELS

pytestmark = pytest.mark.models


def load(model: str) -> Classifier:
    return Classifier.load(model, MODELS, torch.device("cpu"))


@pytest.mark.parametrize(("model", "count"), [("mnist", 1000), ("cifar10", 1000), ("catdog", 60)])
def test_selected_engine_matches_the_exact_network(
    model: str, count: int, datasets: Path, tmp_path: Path
) -> None:
    classifier = load(model)
    options = EngineOptions("auto", threads=1, compiled=False, cache=tmp_path, models=MODELS)
    files = encoded_tests(model, datasets)[:count]
    engine = select_engine(classifier, options).engine
    found = compare(classifier, engine, files)
    assert found.same >= 0.999 * count
    assert found.largest <= 0.03
    if model == "catdog":  # large photographs are scaled while they are decoded
        found = compare(classifier, engine, [enlarged(file) for file in files[:20]])
        assert found.same == 20
        assert found.largest <= 0.06


def test_shipped_int8_network_nearly_matches(datasets: Path) -> None:
    classifier = load("catdog")
    shipped = quantized.find(classifier.card, MODELS)
    assert shipped is not None
    engine = OpenVinoEngine(shipped.model, quantized.KIND, threads=1)
    parity = ParityCheck(ReferenceEngine(classifier), classifier.card.spec.input)
    assert parity.difference(engine, INT8_TOLERANCE) <= INT8_TOLERANCE
    found = compare(classifier, engine, encoded_tests("catdog", datasets)[:60])
    assert found.same >= 59
    assert found.largest <= 0.25
