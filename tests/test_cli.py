import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import httpx
import pytest

from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import ROOT


def app(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(encode(photograph()))
    return path


@pytest.mark.processes
def test_console_script_names_itself_in_its_help() -> None:
    (script,) = entry_points(group="console_scripts", name="atelier")
    code = f"import sys; sys.argv[0] = 'bin/atelier'; from {script.module} import {script.attr}"
    command = [sys.executable, "-c", f"{code}; sys.exit({script.attr}())", "--help"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=patient(), check=True
    )
    assert result.stdout.startswith("usage: atelier [-h] COMMAND")


@pytest.mark.processes
def test_closed_output_ends_a_command_without_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        command = [sys.executable, "-m", "app", "doctor"]
        result = subprocess.run(
            command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE, timeout=patient(), check=False
        )
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.processes
def test_classify_prints_a_table(picture: Path) -> None:
    result = app("classify", picture, "--model", "cifar10", "--top-k", "3", COLUMNS="200")
    assert result.returncode == 0, result.stderr
    assert str(picture) in result.stdout
    assert "cifar10" in result.stdout
    assert result.stdout.count("0.") == 3


def test_classify_gives_the_same_predictions_as_the_service(
    picture: Path, client: httpx.Client
) -> None:
    result = app("classify", picture, "--model", "cifar10", "--json")
    assert result.returncode == 0, result.stderr
    local = json.loads(result.stdout)
    files = {"file": picture.read_bytes()}
    served = client.post("/classify?model=cifar10", files=files).json()
    assert local["model"] == served["model"]
    (answer,) = local["results"]
    assert answer["filename"] == str(picture)
    for ours, theirs in zip(answer["predictions"], served["predictions"], strict=True):
        assert (ours["label"], ours["index"]) == (theirs["label"], theirs["index"])
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-6)


@pytest.mark.processes
def test_unusable_images_are_named_and_the_others_classified(picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:50])
    missing = tmp_path / "missing.png"
    result = app("classify", broken, missing, picture, "--model", "cifar10")
    assert result.returncode == 1
    assert f"{broken}: The image" in result.stderr
    assert f"{missing}: " in result.stderr
    assert "No such file" in result.stderr
    assert result.stdout.count("0.") == 5
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nope"], "mnist, cifar10, catdog"),
        (["--top-k", "0"], "at least 1"),
        (["--device", "cuda:99"], "usable CUDA devices"),
    ],
)
def test_invalid_option_is_explained(picture: Path, arguments: list[str], words: str) -> None:
    result = app("classify", picture, *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.processes
def test_missing_checkpoint_is_explained(picture: Path, tmp_path: Path) -> None:
    result = app("classify", picture, ATELIER_MODELS_DIR=str(tmp_path))
    assert result.returncode == 2
    assert "Train the model first" in result.stderr


@pytest.mark.processes
def test_default_model_is_the_first_with_a_usable_checkpoint(picture: Path, tmp_path: Path) -> None:
    for name in ("mnist", "cifar10"):
        shutil.copy(ROOT / f"models/{name}.json", tmp_path)
    shutil.copy(ROOT / "models/cifar10.pt", tmp_path)
    (tmp_path / "mnist.pt").write_bytes(b"not weights")
    result = app("classify", picture, "--json", ATELIER_MODELS_DIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["model"]["name"] == "cifar10"


@pytest.mark.processes
def test_markup_in_a_file_name_is_printed_as_text(tmp_path: Path) -> None:
    path = tmp_path / "[bold]x[red].png"
    path.write_bytes(encode(photograph()))
    result = app("classify", path, "--model", "cifar10", COLUMNS="200")
    assert "[bold]x[red].png" in result.stdout


def test_help_names_every_command_without_importing_torch() -> None:
    code = (
        "import sys; from app.__main__ import main\n"
        "try: main(['--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in ("serve", "web", "classify"):
        assert command in result.stdout
