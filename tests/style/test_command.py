import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from app.__main__ import main
from app.style import schedule
from app.style.builtin import path_of
from app.style.images import PARAMETERS_KEY
from app.style.options import Quality, StyleOptions
from app.style.targets import StyleTargets
from app.style.transfer import stylize
from tests.patience import patient


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the steps of previews."""
    monkeypatch.setitem(schedule._PRESETS, Quality.PREVIEW, ((1 / 2, 10), (1, 5)))


@pytest.fixture
def photo_file(photo: Image.Image, tmp_path: Path) -> Path:
    """The photograph rotated by 90 degrees, with an EXIF orientation and a private note."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "private note"
    photo.save(path, exif=exif)
    return path


@pytest.mark.usefixtures("few_steps")
def test_command_paints_a_photograph(photo_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    arguments = ["--style", "mosaic", "-o", str(output), "--size", "64", "--quality", "preview"]
    assert main(["stylize", str(photo_file), *arguments, "--seed", "9"]) == 0
    with Image.open(output) as image:
        assert image.size == (48, 64)
        parameters = json.loads(image.info[PARAMETERS_KEY])
        assert not image.getexif()
    assert parameters["seed"] == 9
    assert parameters["styles"] == ["mosaic"]
    assert b"private" not in output.read_bytes()


@pytest.mark.usefixtures("few_steps")
def test_command_gives_the_same_result_as_stylize(
    photo_file: Path, tmp_path: Path, targets: StyleTargets
) -> None:
    output = tmp_path / "out.png"
    arguments = ["--style", "mosaic", "--size", "64", "--quality", "preview", "--seed", "9"]
    assert main(["stylize", str(photo_file), *arguments, "-o", str(output)]) == 0
    with Image.open(photo_file) as lying, Image.open(path_of("mosaic") or "") as style:
        upright = ImageOps.exif_transpose(lying).convert("RGB")
        options = StyleOptions(size=64, quality=Quality.PREVIEW, seed=9)
        *_, last = stylize(upright, [style.convert("RGB")], options, targets=targets)
    with Image.open(output) as painted:
        assert painted.tobytes() == last.result().tobytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--style", "mosaic", "-o", "out.gif"], "must end in"),
        (["--style", "nowhere.png", "-o", "out.png"], "nowhere.png"),
        (["--style", "mosaic", "-o", "out.png", "--strength", "3"], "strength"),
        (["--style", "mosaic", "-o", "out.png", "--style-weights", "1,2"], "style_weights"),
        (["--style", "mosaic", "-o", "out.png", "--device", "cuda:99"], "cuda:99"),
        (["--style", "mosaic", "-o", "nowhere/out.png"], "cannot be written"),
        (["--style", "mosaic", "-o", "out.png", "--size", "2000000000"], "Choose a size"),
        (["--style", "mosaic", "-o", "out.png", "--size", "4000", "--style-scale", "4"], "GB"),
    ],
)
def test_invalid_arguments_are_explained(
    photo_file: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stylize", str(photo_file), *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_photograph_is_not_overwritten(
    photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo_file.read_bytes()
    assert main(["stylize", str(photo_file), "--style", "mosaic", "-o", str(photo_file)]) == 2
    assert "the photograph itself" in capsys.readouterr().err
    assert photo_file.read_bytes() == before


def test_ctrl_c_writes_the_unfinished_painting(photo_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jpg"
    command = [sys.executable, "-m", "app", "stylize", str(photo_file), "--style", "woodcut"]
    command += ["-o", str(output), "--size", "512", "--quality", "high"]
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": "120"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        seen = b""
        while b"loss" not in seen and process.poll() is None:
            seen += os.read(process.stderr.fileno(), 4096)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(timeout=patient()) == 130
    with Image.open(output) as image:
        assert image.size == (384, 512)
