from pathlib import Path

import pytest
import torch

from app.files import atomic_write
from training.runs import RunError, RunFolder

_IDENTITY = {"epochs": 4, "seed": 0, "augmentation": {"name": "Warp", "scale": 0.1}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that was interrupted."""
    run = RunFolder(tmp_path / "runs" / "mnist")
    run.save({"weights": torch.ones(3)}, _IDENTITY)
    return run


def test_an_interrupted_run_goes_on(folder: RunFolder) -> None:
    folder.prepare(resume=True, restart=False)
    assert torch.equal(folder.load(_IDENTITY)["weights"], torch.ones(3))


def test_unfinished_files_of_a_killed_process_are_removed(folder: RunFolder) -> None:
    with atomic_write(folder.path / "last.pt"):
        (half,) = folder.path.glob(".*")
        left = half.with_name(f".another{half.suffix}")
        half.rename(left)  # as if the process had died here
        half.touch()
    assert left.exists()
    folder.complete()
    assert list(folder.path.iterdir()) == []


def test_an_interrupted_run_is_not_destroyed_by_accident(folder: RunFolder) -> None:
    with pytest.raises(RunError, match=r"--resume.*--restart"):
        folder.prepare(resume=False, restart=False)
    assert folder.interrupted


def test_an_interrupted_run_is_discarded_on_demand(folder: RunFolder) -> None:
    folder.prepare(resume=False, restart=True)
    assert not folder.interrupted


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no interrupted run"):
        RunFolder(tmp_path / "none").prepare(resume=True, restart=False)


def test_complete_run_does_not_block_a_new_one(folder: RunFolder) -> None:
    folder.complete()
    folder.prepare(resume=False, restart=False)
    assert not folder.interrupted


def test_other_options_or_data_are_named(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="epochs was 4, now 5") as caught:
        folder.load({**_IDENTITY, "epochs": 5})
    assert "seed" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"not a checkpoint"])
def test_a_damaged_state_is_refused(folder: RunFolder, data: bytes) -> None:
    (folder.path / "last.pt").write_bytes(data)
    with pytest.raises(RunError, match="--restart"):
        folder.load(_IDENTITY)


def test_saving_leaves_one_file_only(folder: RunFolder) -> None:
    folder.save({"weights": torch.zeros(3)}, _IDENTITY)
    assert [path.name for path in folder.path.iterdir()] == ["last.pt"]
