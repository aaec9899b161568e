"""Choice and properties of the device that tensors live on."""

import os
import re
from contextlib import suppress
from pathlib import Path

import torch

from app.vision.errors import DeviceError

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N` to an existing device.

    `auto` is the first CUDA device if there is one, else the CPU.

    Raises:
        DeviceError: the name is invalid or the host has no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise DeviceError(f"The device {name!r} is unknown. Use auto, cpu, cuda or cuda:N.")
    index = int(name.partition(":")[2] or 0)
    found = torch.cuda.device_count()
    if index >= found:
        raise DeviceError(
            f"The device {name!r} does not exist: this host has {found} usable CUDA devices. "
            "Use auto or cpu, or check the NVIDIA driver."
        )
    return torch.device("cuda", index)


def supports_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 hardware, which makes bfloat16 worth using."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    in_hardware = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return bool(in_hardware) and runs_bfloat16_in_onednn()


def runs_bfloat16_in_onednn() -> bool:
    """Return whether oneDNN's operators accept bfloat16 on this CPU, even if slowly.

    The result respects ONEDNN_MAX_CPU_ISA, as the operators do.
    """
    return bool(torch.backends.mkldnn.is_available()) and bool(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def memory_bytes(device: torch.device, cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Return the total memory of the device; for a CPU, at most the container's limit."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no limit ("max"), or no cgroups
        return min(installed, int(cgroup_limit.read_text()))
    return installed


def describe(device: torch.device) -> str:
    """Return a name for the device type; measurements hold for all devices of that name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.cpu.get_capabilities().get('architecture', 'cpu')} x{torch.get_num_threads()}"
