import json
from pathlib import Path

import pytest
from PIL import Image

from app.__main__ import main
from tests.checkpoints import save_always
from tests.evaluation.archives import put, zipped
from tests.pictures import encode

PICTURE = encode(Image.new("L", (28, 28)))
FILES = {"3/1.png": PICTURE, "3/2.png": PICTURE, "7/1.png": PICTURE, "7/[b]no.png": b"text"}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that always predicts 3."""
    save_always(3, tmp_path / "models")
    monkeypatch.setenv("ATELIER_MODELS_DIR", str(tmp_path / "models"))


@pytest.mark.usefixtures("models")
def test_folder_and_archive_give_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = put(tmp_path / "set", FILES)
    (tmp_path / "set.zip").write_bytes(zipped(FILES))
    reports = []
    for path in (folder, tmp_path / "set.zip"):
        assert main(["evaluate", str(path), "--model", "mnist", "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out) | {"seconds": 0, "images_per_s": 0})
    assert reports[0] == reports[1]
    assert reports[0]["n"] == 3
    assert reports[0]["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.usefixtures("models")
def test_table_shows_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "figure.png"
    folder = str(put(tmp_path / "set", FILES))
    assert main(["evaluate", folder, "--model", "mnist", "--figure", str(figure)]) == 0
    shown = capsys.readouterr().out
    assert "accuracy 66.67% (95 %: 20.77% to 93.85%)" in shown
    assert "7/[b]no.png: The file is not an image" in shown
    with Image.open(figure) as image:
        assert image.width > image.height > 300


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("files", "arguments", "words"),
    [
        (None, [], "there is no "),
        ({"zebra/1.png": PICTURE}, [], "Folders: 'zebra'"),
        ({"3/1.png": b"text"}, [], "no image can be used; the first error: The file is not"),
        (FILES, ["--figure", "figure.txt"], "figure.txt cannot be written"),
        (FILES, ["--figure", "figure.pgf"], "its name must end in .pdf, .png, .svg"),
        (FILES, ["--model", "resnet"], "There is no model 'resnet'"),
    ],
)
def test_errors_are_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, bytes] | None,
    arguments: list[str],
    words: str,
) -> None:
    folder = tmp_path / "set"
    if files:
        put(folder, files)
    assert main(["evaluate", str(folder), "--model", "mnist", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_control_characters_in_a_file_name_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    names = ("7/\x1b]0;title\x07.png", "7/\x9b31m.png")
    (tmp_path / "set.zip").write_bytes(zipped(dict.fromkeys(names, PICTURE)))
    assert main(["evaluate", str(tmp_path / "set.zip"), "--model", "mnist", *options]) == 0
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert "title" in shown
