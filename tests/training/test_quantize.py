"""Quantization of a shipped network on its real data."""

import shutil
from pathlib import Path

import pytest
import torch

from app.engines import quantized
from app.engines.options import EngineOptions
from app.engines.selection import select_engine
from app.vision.checkpoint import load_card
from app.vision.classifier import Classifier
from tests.service import ROOT
from training import quantize


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for path in (ROOT / "models").glob("mnist.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def run(models: Path, datasets: Path, *options: str) -> int:
    places = {"--models-dir": models, "--data-dir": datasets, "--runs-dir": models / "runs"}
    words = [word for pair in places.items() for word in map(str, pair)]
    return quantize.main(["mnist", *words, "--images", "50", *options])


@pytest.mark.models
def test_the_network_in_int8_is_nearly_as_good_and_is_found(
    models: Path, datasets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, datasets) == 0
    card = load_card("mnist", models)
    found = quantized.find(card, models)
    assert found is not None
    assert f"in float32 {card.test.accuracy:.2%}" in found.note
    assert found.note in capsys.readouterr().out.replace("\n", " ")
    options = EngineOptions("int8", threads=1, compiled=False, cache=models / "c", models=models)
    choice = select_engine(Classifier.load("mnist", models, torch.device("cpu")), options)
    assert "openvino int8 " in choice.reason  # it was compared; strokes may be too hard for it


def test_other_images_than_it_was_trained_on_are_refused(
    models: Path, datasets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, datasets, "--split-seed", "1") == 1
    assert "was trained on other images" in capsys.readouterr().err
    assert not list(models.glob("*.int8.*"))
