"""Checks of the host: device, address, clock, and consistency of the settings."""

import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import torch

from app.cores import available_cores
from app.doctor.finding import Finding, ok, problem, warning
from app.runtime.listening import StartError, listen, reachable
from app.settings import Settings
from app.vision.device import choose_device, describe, supports_bfloat16
from app.vision.errors import DeviceError
from app.vision.specs import SPECS

_LOW_MEMORY_BYTES = 2_000_000_000
_OLDEST_CAPABILITY = (7, 0)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_S = 3.0
_AHEAD_S = 60.0
_BYTES_PER_PIXEL = 20  # of an image that is being decoded


def device(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """Check the device and the engines; `/proc` and `/dev` are in `root`."""
    try:
        chosen = choose_device(settings.device)
    except DeviceError as error:
        yield problem(f"device {settings.device}", str(error))
        return
    if chosen.type == "cuda":
        yield from _check_cuda(chosen)
    else:
        yield from _check_cpu(chosen, settings)
        if settings.device == "auto":
            yield from _check_unused_gpu(root)


def _check_cuda(chosen: torch.device) -> Iterator[Finding]:
    capability = torch.cuda.get_device_capability(chosen)
    free, total = torch.cuda.mem_get_info(chosen)
    what = (
        f"device {chosen}: {describe(chosen)}, capability {capability[0]}.{capability[1]}, "
        f"CUDA {torch.version.cuda}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    )
    if capability < _OLDEST_CAPABILITY:
        yield warning(
            what, "PyTorch is not tested on a GPU this old; if it fails, set ATELIER_DEVICE=cpu"
        )
    elif free < _LOW_MEMORY_BYTES:
        yield warning(what, "end other programs that use it, or set ATELIER_WORKER_MEMORY_BYTES")
    else:
        yield ok(what)


def _check_cpu(chosen: torch.device, settings: Settings) -> Iterator[Finding]:
    fast = "with" if supports_bfloat16(chosen) else "without"
    yield ok(f"device cpu: {available_cores()} cores, {fast} bfloat16")
    if settings.compile:
        yield warning(
            "ATELIER_COMPILE is set, but CUDA is not available", "it is ignored; remove it"
        )
    if find_spec("openvino"):
        yield ok(f"engine {settings.engine}: PyTorch and OpenVINO are installed")
    elif settings.engine == "openvino":
        yield problem("engine openvino: it is not installed", "pip install 'atelier[cpu]'")
    elif settings.engine in {"auto", "int8"}:
        yield warning(
            f"engine {settings.engine}: OpenVINO is not installed",
            "pip install 'atelier[cpu]', which is faster than PyTorch",
        )
    else:
        yield ok(f"engine {settings.engine}: PyTorch is installed")


def _check_unused_gpu(root: Path) -> Iterator[Finding]:
    """Look for a GPU that cannot be used."""
    paths = (root / "dev/nvidia0", root / "proc/driver/nvidia")
    sign = next((str(path) for path in paths if path.exists()), which("nvidia-smi"))
    if sign is None:
        return
    if torch.version.cuda is None:
        why, advice = "this PyTorch is for CPUs", "install PyTorch with CUDA"
    else:
        why, advice = "CUDA cannot be used", "check the driver with nvidia-smi"
    yield warning(
        f"device cpu: there is {sign}, but {why}",
        f"{advice}, or set ATELIER_DEVICE=cpu if the GPU is not for this service",
    )


def address(settings: Settings) -> Iterator[Finding]:
    """Check that the service listens on the address, or could."""
    where = f"address {settings.host}:{settings.port}"
    if settings.port and _is_taken(settings):
        if _is_atelier(settings):
            yield ok(f"{where}: a service answers there")
        else:
            yield problem(f"{where}: another program uses it", "choose another ATELIER_PORT")
        return
    try:
        listen(settings).close()
    except StartError as error:
        yield problem(where, str(error))
    else:
        yield ok(f"{where}: free" if settings.port else f"{where}: the system picks a free port")


def _is_taken(settings: Settings) -> bool:
    try:
        target = (reachable(settings.host).strip("[]"), settings.port)
        with socket.create_connection(target, timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False


def _is_atelier(settings: Settings) -> bool:
    url = f"http://{reachable(settings.host)}:{settings.port}/health/live"
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as answer:
            return bool(answer.read(100).strip() == b'{"status":"live"}')
    except (OSError, HTTPException):
        return False


def clock(settings: Settings) -> Iterator[Finding]:
    """Compare the clock with the times of files, none of which can be in the future."""
    folders = (settings.data_dir, settings.models_dir, Path(__file__).parent)
    newest = max((_newest(folder) for folder in folders), default=0.0)
    now = time.time()
    if newest > now + _AHEAD_S:
        yield problem(
            f"clock: {newest - now:,.0f} s behind the newest file",
            "set the clock: jobs and log lines use it",
        )
    else:
        yield ok(f"clock: {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(now))}")


def _newest(folder: Path) -> float:
    try:
        return max((path.lstat().st_mtime for path in folder.iterdir()), default=0.0)
    except OSError:
        return 0.0


def consistency(settings: Settings) -> Iterator[Finding]:
    """Check the settings against each other, the host, and the list of known names."""
    found = [
        *_check_names(),
        *_check_sizes(settings),
        *_check_times(settings),
        *_check_hosts(settings),
    ]
    yield from found or [ok("settings: consistent")]


def _check_names() -> Iterator[Finding]:
    known = {f"ATELIER_{name}".upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith("ATELIER_") and name.upper() not in known:
            yield warning(f"settings: there is no {name}", "docs/settings.md lists all of them")


def _check_sizes(settings: Settings) -> Iterator[Finding]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    held = settings.max_upload_bytes + _BYTES_PER_PIXEL * settings.max_decoding_pixels
    if held > memory:
        yield warning(
            f"settings: uploads may take {held / 1e9:.1f} of {memory / 1e9:.1f} GB of memory",
            "lower ATELIER_MAX_UPLOAD_BYTES or ATELIER_MAX_DECODING_PIXELS",
        )
    cores = available_cores()
    for name in ("compute_threads", "decode_threads"):
        count = getattr(settings, name)
        if count > cores:
            yield warning(
                f"settings: {count} threads on {cores} cores", f"lower ATELIER_{name.upper()}"
            )
    if settings.max_image_pixels > settings.max_decoding_pixels:
        yield warning(
            "settings: one image may have more pixels than can be decoded at one time",
            "lower ATELIER_MAX_IMAGE_PIXELS, or raise ATELIER_MAX_DECODING_PIXELS",
        )
    if settings.max_queued_jobs_per_caller > settings.max_queued_jobs:
        yield warning(
            "settings: the limit of waiting jobs per caller exceeds the limit of all",
            "lower ATELIER_MAX_QUEUED_JOBS_PER_CALLER",
        )


def _check_times(settings: Settings) -> Iterator[Finding]:
    if settings.job_ttl_s < settings.result_ttl_s:
        yield warning(
            "settings: jobs expire before their files",
            "raise ATELIER_JOB_TTL_S: a job is kept for as long as it has files",
        )
    if settings.decode_timeout_s < settings.classify_deadline_s:
        yield warning(
            "settings: the web process restarts before an image times out",
            "raise ATELIER_DECODE_TIMEOUT_S above ATELIER_CLASSIFY_DEADLINE_S",
        )
    if settings.default_model not in SPECS:
        yield warning(
            f"settings: there is no default model {settings.default_model!r}",
            f"set ATELIER_DEFAULT_MODEL to one of {', '.join(SPECS)}",
        )


def _check_hosts(settings: Settings) -> Iterator[Finding]:
    if settings.broker_url is not None and settings.blobs_url is None:
        yield warning(
            "settings: workers on other hosts cannot read this host's data directory",
            "set ATELIER_BLOBS_URL to an object store, unless all hosts mount that directory",
        )
    is_shared = not settings.database.startswith("sqlite")
    if is_shared and settings.keyring and settings.session_secret is None:
        yield problem(
            "settings: hosts that share a database need the same session secret",
            "set ATELIER_SESSION_SECRET to the same value, of 32 or more characters, on every host",
        )
