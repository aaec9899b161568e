from pathlib import Path

import pytest
import torch

from app.vision.device import choose_device, memory_bytes, supports_bfloat16
from app.vision.errors import DeviceError


def test_auto_is_cuda_if_available() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cpu_is_always_available() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", ""])
def test_error_for_an_unknown_name_lists_the_valid_names(name: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        choose_device(name)


def test_error_for_a_missing_device_says_how_many_exist() -> None:
    with pytest.raises(DeviceError, match=f"has {torch.cuda.device_count()} usable"):
        choose_device("cuda:64")


def test_bfloat16_support_matches_the_device() -> None:
    assert supports_bfloat16(torch.device("cpu")) in {True, False}


@pytest.mark.parametrize(("limit", "allowed"), [("1000000\n", 1_000_000), ("max\n", None)])
def test_memory_is_limited_by_the_container(
    limit: str, allowed: int | None, tmp_path: Path
) -> None:
    cpu = torch.device("cpu")
    installed = memory_bytes(cpu, tmp_path / "none")
    (tmp_path / "memory.max").write_text(limit)
    assert memory_bytes(cpu, tmp_path / "memory.max") == (allowed or installed)
