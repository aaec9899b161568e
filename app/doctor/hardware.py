"""Checks of the device that the networks run on."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import torch

from app.cores import available_cores
from app.doctor.finding import Finding, ok, problem, warning
from app.settings import Settings
from app.vision.device import choose_device, describe, supports_bfloat16
from app.vision.errors import DeviceError

_LITTLE_BYTES = 2_000_000_000
_OLDEST_CAPABILITY = (7, 0)


def device(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """Look at the device, and at what runs networks on it; `/proc` and `/dev` are in `root`."""
    try:
        chosen = choose_device(settings.device)
    except DeviceError as error:
        yield problem(f"device {settings.device}", str(error))
        return
    if chosen.type == "cuda":
        yield from _cuda(chosen)
    else:
        yield from _cpu(chosen, settings)
        if settings.device == "auto":
            yield from _unused(root)


def _cuda(chosen: torch.device) -> Iterator[Finding]:
    capability = torch.cuda.get_device_capability(chosen)
    free, total = torch.cuda.mem_get_info(chosen)
    what = (
        f"device {chosen}: {describe(chosen)}, capability {capability[0]}.{capability[1]}, "
        f"CUDA {torch.version.cuda}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    )
    if capability < _OLDEST_CAPABILITY:
        yield warning(what, "it is older than what PyTorch is tested on; ATELIER_DEVICE=cpu helps")
    elif free < _LITTLE_BYTES:
        yield warning(what, "end what else uses it, or set ATELIER_WORKER_MEMORY_BYTES")
    else:
        yield ok(what)


def _cpu(chosen: torch.device, settings: Settings) -> Iterator[Finding]:
    fast = "with" if supports_bfloat16(chosen) else "without"
    yield ok(f"device cpu: {available_cores()} cores, {fast} bfloat16")
    if settings.compile:
        yield warning("ATELIER_COMPILE is set, and there is no CUDA", "it is ignored; leave it out")
    if find_spec("openvino"):
        yield ok(f"engine {settings.engine}: PyTorch and OpenVINO are there")
    elif settings.engine == "openvino":
        yield problem("engine openvino: it is not installed", "pip install 'atelier[cpu]'")
    elif settings.engine in {"auto", "int8"}:
        yield warning(
            f"engine {settings.engine}: OpenVINO is not installed",
            "pip install 'atelier[cpu]', which is faster than PyTorch",
        )
    else:
        yield ok(f"engine {settings.engine}: PyTorch is there")


def _unused(root: Path) -> Iterator[Finding]:
    """Look for traces of a GPU where none can be used."""
    places = (root / "dev/nvidia0", root / "proc/driver/nvidia")
    trace = next((str(place) for place in places if place.exists()), which("nvidia-smi"))
    if trace is None:
        return
    if torch.version.cuda is None:
        why, advice = "this PyTorch is for CPUs", "install PyTorch with CUDA"
    else:
        why, advice = "CUDA cannot be used", "see what nvidia-smi says of the driver"
    yield warning(
        f"device cpu: there is {trace}, but {why}",
        f"{advice}, or set ATELIER_DEVICE=cpu if the GPU is not for this service",
    )
