from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from app.vision import checkpoint
from app.vision.checkpoint import ModelCard
from app.vision.scores import ClassScore, Scores
from app.vision.specs import MNIST
from tests.checkpoints import always, card
from tests.training.tiny import tiles
from training.examples import Examples
from training.report import evaluate, reason_to_keep, scores_table, versions


def _card(accuracy: float, split: str = "a", train_count: int = 100) -> ModelCard:
    blank = card()
    return replace(
        blank,
        data=replace(blank.data, split=split, train_count=train_count),
        validation=replace(blank.validation, accuracy=accuracy),
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a checkpoint of 90 % on the split "a"."""
    checkpoint.save(_card(0.9), always(3), tmp_path)
    return tmp_path


def test_a_better_checkpoint_on_the_same_split_is_kept(models: Path) -> None:
    reason = reason_to_keep(_card(0.85), models)
    assert reason is not None
    assert "90.00%" in reason
    assert "85.00%" in reason


def test_a_checkpoint_of_more_images_is_kept(models: Path) -> None:
    reason = reason_to_keep(_card(0.99, split="b", train_count=10), models)
    assert reason is not None
    assert "100 images" in reason


@pytest.mark.parametrize("new", [_card(0.9), _card(0.95), _card(0.5, split="b")])
def test_any_other_checkpoint_gives_way(models: Path, new: ModelCard) -> None:
    assert reason_to_keep(new, models) is None


def test_a_missing_or_damaged_checkpoint_gives_way(models: Path, tmp_path: Path) -> None:
    (models / "mnist.pt").write_bytes(b"damaged")
    assert reason_to_keep(_card(0.1), models) is None
    assert reason_to_keep(_card(0.1), tmp_path / "nowhere") is None


def test_classes_without_examples_are_reported_as_such() -> None:
    classes = {"cat": ClassScore(3, 4), "dog": ClassScore(0, 2), "cow": ClassScore(0, 0)}
    text = _rendered(Scores(6, 0.25, 0.5, classes))
    assert "3/4" in text
    assert "75.00%" in text
    assert "0.00%" in text
    assert "no examples" in text
    assert "3/6" in text
    assert "50.00%" in text
    assert "loss 0.2500" in text


def test_an_evaluation_counts_guesses_by_class() -> None:
    network = MNIST.build().eval()
    network.load_state_dict(always(3))
    three_classes = tiles(100).labels < 3
    examples = Examples(tiles(100).images[three_classes], tiles(100).labels[three_classes])
    found = evaluate(network, examples, MNIST)
    assert found.predicted.tolist() == [3] * 30
    assert found.confusion[:, 3].tolist() == [10, 10, 10, 0, 0, 0, 0, 0, 0, 0]
    assert found.scores.accuracy == 0
    assert found.scores.classes["3"] == ClassScore(0, 0)


def test_versions_name_what_the_weights_depend_on() -> None:
    found = versions()
    assert set(found) == {"python", "torch", "torchvision", "numpy", "pillow"}
    assert torch.__version__.startswith(found["torch"])


def _rendered(scores: Scores) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(scores_table("test split", scores))
    return capture.get()
