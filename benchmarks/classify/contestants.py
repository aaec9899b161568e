"""The services that are measured, and how each is started."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.classify.load import FORM, multipart
from benchmarks.classify.servers.common import FOLDER, MODEL

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "runs/peers"
"""Where the peers' packages are: they are no dependencies of ours."""

_PACKAGES = ("litserve==0.2.19", "bentoml==1.4.40")
_START_S = 180
_SERVERS = "benchmarks.classify.servers"


@dataclass(frozen=True)
class Contestant:
    """A service: its command line, with `{port}` in it, and where it classifies.

    Of those of one `name` with different `options`, the best counts.
    """

    name: str
    command: tuple[str, ...]
    options: str = ""
    path: str = "/classify"
    settings: Mapping[str, str] = field(default_factory=dict)
    is_peer: bool = True


@dataclass(frozen=True)
class Running:
    """A service that answers. `start_s` is the time from its start to its first right answer."""

    url: str
    process: subprocess.Popen[bytes]
    start_s: float

    def memory_bytes(self) -> int:
        """Memory of all its processes; pages that several of them share count in part for each."""
        return sum(map(_proportional_bytes, _family(self.process.pid)))


def ours(model: str, engine: str = "auto") -> Contestant:
    """Atelier, without workers: nothing paints."""
    return Contestant(
        "Atelier",
        (sys.executable, "-m", "app", "serve", "--port", "{port}"),
        f"engine {engine}",
        f"/classify?model={model}",
        {"ATELIER_WORKERS": "0", "ATELIER_ENGINE": engine, "ATELIER_LOG_LEVEL": "warning"},
        is_peer=False,
    )


def plain(threads: int) -> Contestant:
    """FastAPI and eager PyTorch, with so many threads for each product."""
    return Contestant(
        "plain FastAPI",
        _uvicorn("plain"),
        f"{threads} threads",
        settings={"OMP_NUM_THREADS": str(threads)},
    )


def constant() -> Contestant:
    """FastAPI alone."""
    return Contestant("constant answer", _uvicorn("constant"))


def litserve(batch: int, timeout_s: float, workers: int, threads: int) -> Contestant:
    """LitServe with one of its settings."""
    options = ("{port}", str(batch), str(timeout_s), str(workers))
    return Contestant(
        "LitServe",
        (sys.executable, "-m", f"{_SERVERS}.lit", *options),
        f"batch {batch}, {timeout_s * 1000:g} ms, {workers} workers of {threads} threads",
        settings={"OMP_NUM_THREADS": str(threads)},
    )


def bentoml(threads: int) -> Contestant:
    """BentoML with adaptive batching."""
    serve = ("-m", "bentoml", "serve", f"{_SERVERS}.bento:Peer", "--port", "{port}")
    return Contestant(
        "BentoML",
        (sys.executable, *serve),
        f"{threads} threads",
        settings={"BENTOML_DO_NOT_TRACK": "1", "OMP_NUM_THREADS": str(threads)},
    )


def install_peers() -> None:
    """Install the peers beside our own environment, whose PyTorch they use."""
    if all((PEERS / each.partition("==")[0]).exists() for each in _PACKAGES):
        return
    PEERS.mkdir(parents=True, exist_ok=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(PEERS))
    subprocess.run((*pip, *_PACKAGES), check=True)


@contextmanager
def running(contestant: Contestant, model: str, models: Path, image: bytes) -> Iterator[Running]:
    """Run a service until the exit; it has answered one request, and its engine is selected."""
    port = _free_port()
    folder = Path(tempfile.mkdtemp())
    environment = {
        **os.environ,
        "OMP_WAIT_POLICY": "passive",  # for all: threads that spin slow each other down
        MODEL: model,
        FOLDER: str(models),
        "ATELIER_MODELS_DIR": str(models),
        "ATELIER_DATA_DIR": str(ROOT / "runs/classify-var"),  # its caches are warm from then on
        **contestant.settings,
    }
    if contestant.is_peer:
        environment["PYTHONPATH"] = f"{PEERS}:{ROOT}"
    started = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [each.format(port=port) for each in contestant.command],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}{contestant.path}"
        _await_answer(process, url, image, folder / "log")
        start_s = time.perf_counter() - started
        if not contestant.is_peer:
            _await_selection(f"http://127.0.0.1:{port}/health/ready")
        yield Running(url, process, start_s)
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _uvicorn(server: str) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "uvicorn", f"{_SERVERS}.{server}:app", "--port", "{port}"),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    )


def _await_answer(process: subprocess.Popen[bytes], url: str, image: bytes, log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            answer = httpx.post(
                url, content=multipart(image), headers={"Content-Type": FORM}, timeout=_START_S
            )
            if answer.status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the service does not answer:\n{log.read_text()[-3000:]}")
        time.sleep(0.02)


def _await_selection(url: str) -> None:
    """Wait until the fastest engines answer."""
    end = time.monotonic() + _START_S
    while httpx.get(url, timeout=_START_S).json()["selecting"]:
        if time.monotonic() > end:
            raise RuntimeError(f"no engine was selected within {_START_S} s")
        time.sleep(0.1)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            yield from _family(int(child))


def _proportional_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    lines = (line.split() for line in rollup.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "Pss:"), 0)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
