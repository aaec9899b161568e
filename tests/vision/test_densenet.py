import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import densenet121

from app.vision import checkpoint
from app.vision.classifier import Classifier
from app.vision.densenet import densenet, head
from app.vision.layers import layer_table
from app.vision.specs import CATDOG
from tests.checkpoints import card

_SMALL = replace(CATDOG, input=CATDOG.input.sized(32))


def test_convolutions_match_torchvision() -> None:
    ours, theirs = densenet(2), densenet121()
    theirs.classifier = head(2)
    theirs.load_state_dict(ours.state_dict())
    pictures = torch.rand(2, 3, 64, 72)
    for network in (ours, theirs):
        network(pictures)  # in training, which moves the running means of the normalization
        network.eval()
    with torch.inference_mode():
        assert torch.equal(ours(pictures), theirs(pictures))
    assert layer_table(ours, (3, 64, 72)) == layer_table(theirs, (3, 64, 72))


def test_head_is_small() -> None:
    rows = {row.name: row for row in layer_table(densenet(2).eval(), (3, 64, 64))}
    types = [row.type for name, row in rows.items() if name.startswith("classifier")]
    assert types == ["Linear", "ReLU", "Dropout", "Linear", "LogSoftmax"]
    assert rows["classifier.fc1"].parameters == 1024 * 256 + 256
    assert rows["classifier.fc2"].parameters == 256 * 2 + 2
    assert sum(row.parameters for row in rows.values()) == 7_216_770


def test_outputs_are_log_probabilities() -> None:
    with torch.inference_mode():
        outputs = densenet(2).eval()(torch.rand(3, 3, 40, 48))
    assert outputs.exp().sum(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_checkpoint_in_half_precision_is_loaded_in_float32(tmp_path: Path) -> None:
    state = densenet(2).state_dict()
    state["classifier.fc2.weight"].zero_()
    state["classifier.fc2.bias"] = torch.tensor([1.0, 9.0]).log()
    half = {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    }
    scores = replace(
        card().test, classes=dict.fromkeys(CATDOG.classes, next(iter(card().test.classes.values())))
    )
    checkpoint.save(replace(card(), spec=_SMALL, validation=scores, test=scores), half, tmp_path)
    assert (tmp_path / "catdog.pt").stat().st_size < 15_000_000
    classifier = Classifier.load("catdog", tmp_path, torch.device("cpu"))
    kinds = {value.dtype for value in classifier.network.parameters()}
    assert kinds == {torch.float32}
    picture = classifier.preprocess(Image.new("RGB", (60, 40), "green"))
    best = classifier.top_k(classifier.probabilities([picture])[0], 1)[0]
    assert best.label == "dog"
    assert best.probability == pytest.approx(0.9, abs=1e-3)
    stored = json.loads((tmp_path / "catdog.json").read_text())
    assert stored["sha256"] == hashlib.sha256((tmp_path / "catdog.pt").read_bytes()).hexdigest()
