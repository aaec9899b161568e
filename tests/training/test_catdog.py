"""Training on cats and dogs as a user starts it."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from app.vision import checkpoint
from app.vision.classifier import Classifier
from tests.training.tiny import backbone_state, photographs, write_catdog
from training import catdog_densenet
from training.catdog_densenet import HEAD, UNFROZEN

pytestmark = pytest.mark.models

_FIGURES = {
    "channels.png",
    "confusion_matrix.png",
    "loss_curves.png",
    "predictions.png",
    "training_images.png",
}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with tiny photographs in `data`, and a backbone."""
    write_catdog(tmp_path / "data", 60, 20)
    path = tmp_path / "backbone.pt"
    torch.save(backbone_state(), path)
    path.with_suffix(".json").write_text(json.dumps(_made(path)))
    return tmp_path


def _made(path: Path) -> dict[str, object]:
    """Describe a backbone that was trained on the photographs of `workplace`."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"made_by": "chance", "sha256": sha256, "photographs": 48, "split_seed": 0}


def _train(folder: Path, *options: str, backbone: bool = True) -> int:
    places = [
        f"--data-dir={folder / 'data'}",
        f"--models-dir={folder / 'models'}",
        f"--runs-dir={folder / 'runs'}",
        "--device=cpu",
    ]
    if backbone:
        places += [f"--backbone={folder / 'backbone.pt'}", "--input-px=32"]
    return catdog_densenet.main([*places, *options])


def test_the_recipe_is_the_documented_one() -> None:
    recipe = HEAD.recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.loss) == ("adam", 0.003, "nll")
    assert (recipe.schedule, recipe.averaging_decay, recipe.weight_decay) == ("constant", 0, 0)
    assert UNFROZEN.recipe.learning_rate < recipe.learning_rate


def test_head_and_then_everything(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(workplace, "--epochs=4", "--batch-size=12", "--print-every=3") == 0
    output = capsys.readouterr().out
    assert "epoch 1/4  step 3  training loss" in output
    assert "test split" in output
    run = workplace / "runs" / "catdog"
    kept = {path.name for path in run.iterdir()}
    assert kept == _FIGURES | {"catdog.pt", "catdog.json", "features.pt"}
    card, network = checkpoint.load("catdog", workplace / "models")
    assert card.training["backbone"]["made"] == _made(workplace / "backbone.pt")
    assert (card.spec.input.width, card.spec.input.resize_px) == (32, 36)
    assert (card.data.train_count, card.validation.count, card.test.count) == (48, 12, 20)
    stored = torch.load(workplace / "models" / "catdog.pt", weights_only=True)
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int64}
    for name, value in backbone_state().items():
        if "classifier" not in name:
            assert torch.equal(network.state_dict()[name], value.to(stored[name].dtype).to(value))

    assert _train(workplace, "--unfreeze", "--epochs=1", backbone=False) == 0
    tuned = checkpoint.load_card("catdog", workplace / "runs" / "catdog-unfrozen")
    assert tuned.spec == card.spec
    assert tuned.training["started_from"]["sha256"] == card.sha256
    assert tuned.training["started_from"]["training"]["backbone"]["made"]["made_by"] == "chance"
    better = max((card, tuned), key=lambda each: each.validation.accuracy).validation.accuracy
    kept_card = checkpoint.load_card("catdog", workplace / "models")
    assert kept_card.validation.accuracy == better


def test_measured_weights_are_the_served_ones(workplace: Path) -> None:
    (workplace / "backbone.json").unlink()
    assert _train(workplace, "--epochs=2", "--limit=20") == 0
    classifier = Classifier.load("catdog", workplace / "models", torch.device("cpu"))
    pictures, labels = photographs(20, seed=1)  # those of the test part, before JPEG
    found = classifier.probabilities([classifier.preprocess(picture) for picture in pictures])
    guesses = [classifier.card.spec.classes[index] for index in found.argmax(dim=1).tolist()]
    right = sum(guess == label for guess, label in zip(guesses, labels, strict=True))
    assert right / 20 == pytest.approx(classifier.card.test.accuracy, abs=0.1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--backbone=nowhere.pt"], r"nowhere\.pt cannot be read"),
        (["--split-seed=1"], "--split-seed 0"),
        (["--limit=20"], "trained on 48 photographs"),
        (["--data-dir=nowhere"], r"catdog\.zip is not in nowhere"),
    ],
)
def test_impossible_options_are_refused_before_training(
    workplace: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(workplace, *options) == 1
    error = capsys.readouterr().err
    assert complaint.replace("\\", "") in error
    assert "Traceback" not in error


def test_there_is_nothing_to_unfreeze_before_the_head_is_trained(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(workplace, "--unfreeze", backbone=False) == 1
    assert "Before --unfreeze" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--unfreeze"], ["--input-px=5"], ["--input-px=x"]])
def test_invalid_options_are_refused(workplace: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _train(workplace, *options)
