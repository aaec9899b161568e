import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from app.files import atomic_write
from app.vision import checkpoint
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError
from tests.checkpoints import always, card, save_always


def edit_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "mnist.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def replace_weights(folder: Path, data: bytes) -> None:
    """Replace the weights and make the sidecar's hash agree, as an attacker would."""
    (folder / "mnist.pt").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit_card(folder, lambda value: value.update(sha256=digest))


def test_saved_checkpoint_loads_with_its_card(tmp_path: Path) -> None:
    saved = save_always(3, tmp_path)
    loaded, network = checkpoint.load("mnist", tmp_path)
    assert loaded == saved
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, always(3)[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mnist.json", "mnist.pt"]


def test_classifier_returns_the_probabilities_of_its_weights(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    classifier = Classifier.load("mnist", tmp_path, torch.device("cpu"))
    picture = classifier.preprocess(Image.new("RGB", (40, 40), "white"))
    probabilities = classifier.probabilities([picture, picture])
    assert probabilities.shape == (2, 10)
    assert probabilities.dtype == torch.float32
    best, *rest = classifier.top_k(probabilities[0], 4)
    assert (best.label, best.index) == ("3", 3)
    assert best.probability == pytest.approx(0.99)
    assert [each.probability for each in rest] == pytest.approx([0.01 / 9] * 3)
    assert len(classifier.top_k(probabilities[0], 99)) == 10


@pytest.mark.parametrize("name", ["mnist.pt", "mnist.json"])
def test_error_names_the_missing_file(tmp_path: Path, name: str) -> None:
    save_always(3, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load("mnist", tmp_path)


def test_weights_that_changed_after_saving_are_refused(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    path = tmp_path / "mnist.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="SHA-256"):
        checkpoint.load("mnist", tmp_path)


def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    save_always(3, tmp_path)
    for protocol in (2, 4):
        replace_weights(tmp_path, pickle.dumps({"fc1.weight": Attack()}, protocol=protocol))
        with pytest.raises(CheckpointError, match="not a state_dict"):
            checkpoint.load("mnist", tmp_path)
        torch.save({"fc1.weight": Attack()}, tmp_path / "attack.pt")
        replace_weights(tmp_path, (tmp_path / "attack.pt").read_bytes())
        with pytest.raises(CheckpointError, match="not a state_dict"):
            checkpoint.load("mnist", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    data = (tmp_path / "mnist.pt").read_bytes()
    for tenths in range(10):
        replace_weights(tmp_path, data[: len(data) * tenths // 10])
        with pytest.raises(CheckpointError):
            checkpoint.load("mnist", tmp_path)


def _without_a_key(state: dict[str, Any]) -> None:
    del state["fc2.bias"]


def _with_another_key(state: dict[str, Any]) -> None:
    state["fc4.bias"] = torch.zeros(1)


def _with_another_shape(state: dict[str, Any]) -> None:
    state["fc1.weight"] = torch.zeros(512, 100)


def _with_a_nan(state: dict[str, Any]) -> None:
    state["fc1.weight"][0, 0] = float("nan")


def _with_text(state: dict[str, Any]) -> None:
    state["fc1.weight"] = "weights"


@pytest.mark.parametrize(
    "damage",
    [_without_a_key, _with_another_key, _with_another_shape, _with_a_nan, _with_text],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    state: dict[str, Any] = always(3)
    damage(state)
    checkpoint.save(card(), state, tmp_path)
    with pytest.raises(CheckpointError, match=r"mnist\.pt"):
        checkpoint.load("mnist", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("spec"),
        lambda value: value.update(spec=None),
        lambda value: value.update(surprise=1),
        lambda value: value["spec"].update(network="transformer"),
        lambda value: value["spec"].update(name="cifar10"),
        lambda value: value["spec"].update(classes=["a", "a"]),
        lambda value: value["spec"].update(classes=[]),
        lambda value: value["spec"]["input"].update(std=[0.0]),
        lambda value: value["spec"]["input"].update(mean=[0.1, 0.2]),
        lambda value: value["spec"]["input"].update(width=-1),
        lambda value: value["spec"]["input"].update(height=32, resize_px=32),
        lambda value: value["spec"]["input"].update(preparation="squash"),
        lambda value: value["spec"]["input"].update(height=28.0),
        lambda value: value["spec"]["input"].update(resize_px=10**9),
        lambda value: value["spec"]["input"].update(mean=[float("nan")]),
        lambda value: value["spec"]["input"].update(std=[1e-320]),
        lambda value: value["data"].update(train_count="many"),
        lambda value: value["test"]["classes"]["0"].update(correct="x"),
        lambda value: value["test"]["classes"].pop("0"),
        lambda value: value["test"].update(accuracy=5),
        lambda value: value["validation"].update(loss=float("inf")),
        lambda value: value.update(sha256=7),
    ],
)
def test_invalid_card_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    save_always(3, tmp_path)
    edit_card(tmp_path, change)
    with pytest.raises(CheckpointError):
        checkpoint.load("mnist", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\x00", "[" * 100_000])
def test_sidecar_that_is_not_a_card_is_refused(tmp_path: Path, text: str) -> None:
    save_always(3, tmp_path)
    (tmp_path / "mnist.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"mnist\.json"):
        checkpoint.load("mnist", tmp_path)


def test_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    saved = save_always(3, tmp_path)
    (tmp_path / "mnist.json").chmod(0o444)
    with pytest.raises(RuntimeError, match="full"), atomic_write(tmp_path / "mnist.pt"):
        raise RuntimeError("disk full")
    assert checkpoint.load("mnist", tmp_path)[0] == saved
    assert len(list(tmp_path.iterdir())) == 2
