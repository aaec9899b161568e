"""The training scripts as a user starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.vision import checkpoint
from tests.patience import patient
from tests.training.tiny import tiles, write_mnist
from training import cli
from training.mnist_mlp import TASK

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
    """A folder with a tiny MNIST in `data`."""
    write_mnist(tmp_path / "data" / "mnist", tiles(200), tiles(50, seed=1))
    return tmp_path


def _options(folder: Path, data_dir: Path | None = None) -> list[str]:
    return [
        f"--data-dir={data_dir or folder / 'data'}",
        f"--models-dir={folder / 'models'}",
        f"--runs-dir={folder / 'runs'}",
        "--device=cpu",
    ]


def _start(script: str, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", f"training.{script}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _stop(process: "subprocess.Popen[str]", after: str, signal_number: int) -> str:
    """Send a signal once the output has a line with `after`; returns the error output."""
    assert process.stdout is not None
    assert any(after in line for line in process.stdout)
    process.send_signal(signal_number)
    return process.communicate(timeout=patient())[1]


def _train(*options: str) -> int:
    return cli.main(TASK, "training.mnist_mlp", options)


@pytest.mark.parametrize(("script", "name"), [("mnist_mlp", "mnist"), ("cifar_cnn", "cifar10")])
def test_a_script_runs_end_to_end_on_real_images(
    datasets: Path, tmp_path: Path, script: str, name: str
) -> None:
    options = [*_options(tmp_path, datasets), "--limit=300", "--epochs=2", "--seed=3"]
    process = _start(script, *options)
    output, errors = process.communicate(timeout=patient(100))
    assert process.returncode == 0, errors
    assert errors == ""
    for text in ("epoch 2/2", "training loss", "validation loss", "accuracy", "test split", "all"):
        assert text in output
    card, _ = checkpoint.load(name, tmp_path / "models")
    assert (card.data.train_count, card.validation.count, card.test.count) == (240, 60, 300)
    assert card.training["recipe"]["epochs"] == 2
    assert card.training["seed"] == 3
    assert card.training["device"] == "cpu"
    if name == "cifar10":
        assert "JPEG" in card.data.source
    run = tmp_path / "runs" / name
    assert {path.name for path in run.iterdir()} == _FIGURES | {f"{name}.pt", f"{name}.json"}
    for figure in _FIGURES:
        with Image.open(run / figure) as picture:
            picture.verify()


def test_interrupted_runs_end_like_one_that_was_not(
    workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*_options(workplace), "--epochs=12"]
    errors = _stop(_start("mnist_mlp", *options), "epoch 2/", signal.SIGINT)
    assert "Interrupted" in errors
    assert errors.strip().endswith("--epochs=12 --resume")
    assert _train(*options) == 1
    assert "--restart" in capsys.readouterr().err
    _stop(_start("mnist_mlp", *options, "--resume"), "epoch 4/", signal.SIGKILL)
    assert not list((workplace / "models").iterdir())
    assert _train(*options, "--resume") == 0
    assert "epoch 12/12" in capsys.readouterr().out

    assert _train(*_options(tmp_path / "other", workplace / "data"), "--epochs=12") == 0
    resumed, whole = (
        torch.load(folder / "models" / "mnist.pt", weights_only=True)
        for folder in (workplace, tmp_path / "other")
    )
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert _train(*options, "--resume") == 1


def test_a_better_checkpoint_is_overwritten_only_on_demand(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = _options(workplace)
    assert _train(*options, "--epochs=12") == 0
    good, _ = checkpoint.load("mnist", workplace / "models")
    assert _train(*options, "--epochs=1", "--learning-rate=1e-6") == 0
    assert "stays as it is" in capsys.readouterr().out
    assert checkpoint.load_card("mnist", workplace / "models") == good
    worse = checkpoint.load_card("mnist", workplace / "runs" / "mnist")
    assert worse.validation.accuracy < good.validation.accuracy
    assert _train(*options, "--epochs=1", "--learning-rate=1e-6", "--overwrite") == 0
    assert checkpoint.load_card("mnist", workplace / "models").sha256 == worse.sha256


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--epochs=0"], "epochs"),
        (["--seed=-1"], "--seed"),
        (["--limit=3"], "--limit"),
        (["--optimizer=lion"], "lion"),
        (["--resume", "--restart"], "--restart"),
    ],
)
def test_invalid_command_line_is_refused(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _train(*options)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--device=tpu"], "is unknown. Use auto"),
        (["--device=cuda:99"], "cuda:99"),
        (["--resume"], "no interrupted run"),
    ],
)
def test_impossible_options_are_refused_before_training(
    workplace: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(*_options(workplace), *options) == 1
    assert complaint in capsys.readouterr().err


def test_the_data_folder_comes_from_the_environment(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_DATASETS", str(workplace / "data"))
    _, *options = _options(workplace)
    assert _train(*options, "--epochs=1") == 0
    assert (workplace / "models" / "mnist.json").exists()


def test_ctrl_c_while_a_file_is_written_is_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    def run() -> None:
        torch.save({"first": torch.ones(1000), "second": Interrupting()}, tmp_path / "last.pt")

    assert cli.guarded(run, lambda: "Go on by --resume.") == 130
    assert "Go on by --resume." in capsys.readouterr().err
