"""Checks of the device. `tmp_path` stands for the root folder of a host."""

from pathlib import Path

import pytest
import torch

from app.doctor.finding import Finding, Level
from app.doctor.host import device
from app.settings import Settings

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a host without CUDA")
with_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def found(root: Path, chosen: str) -> list[Finding]:
    return list(device(Settings(device=chosen, engine="exact"), root))


def gpu(root: Path, path: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True)
    place.touch()


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set PATH to an empty folder and return it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@without_cuda
@pytest.mark.usefixtures("no_programs")
def test_host_without_a_gpu_has_no_problem(tmp_path: Path) -> None:
    first, second = found(tmp_path, "auto")
    assert (first.level, second.level) == (Level.OK, Level.OK)
    assert first.what.startswith("device cpu: ")
    assert second.what == "engine exact: PyTorch and OpenVINO are installed"


@without_cuda
@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize("path", ["dev/nvidia0", "proc/driver/nvidia"])
def test_unusable_gpu_is_a_warning(tmp_path: Path, path: str) -> None:
    gpu(tmp_path, path)
    *_, last = found(tmp_path, "auto")
    assert last.level is Level.WARNING
    assert last.what.startswith(f"device cpu: there is {tmp_path / path}, but ")
    assert "ATELIER_DEVICE=cpu" in last.advice


@without_cuda
def test_nvidia_smi_without_a_usable_gpu_is_a_warning(tmp_path: Path, no_programs: Path) -> None:
    program = no_programs / "nvidia-smi"
    program.touch(mode=0o755)
    *_, last = found(tmp_path, "auto")
    assert last.level is Level.WARNING
    assert str(program) in last.what


def test_explicit_choice_of_the_cpu_gives_no_warning(tmp_path: Path) -> None:
    gpu(tmp_path, "dev/nvidia0")
    assert {each.level for each in found(tmp_path, "cpu")} == {Level.OK}


def test_missing_device_is_a_problem(tmp_path: Path) -> None:
    (only,) = found(tmp_path, "cuda:64")
    assert only.level is Level.PROBLEM
    assert only.what == "device cuda:64"
    assert "usable CUDA devices" in only.advice


def test_compile_setting_without_cuda_is_a_warning(tmp_path: Path) -> None:
    said = list(device(Settings(device="cpu", compile=True), tmp_path))
    (warned,) = (each for each in said if each.level is Level.WARNING)
    assert "ATELIER_COMPILE" in warned.what


@with_cuda
def test_usable_gpu_is_described(tmp_path: Path) -> None:
    (only,) = found(tmp_path, "auto")
    assert only.what.startswith("device cuda:0: ")
    assert "GB free" in only.what
