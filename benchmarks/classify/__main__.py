"""Measures `POST /classify` beside a plain service, LitServe and BentoML, on an idle host.

    python -m benchmarks.classify [--models catdog mnist] [--engine auto] [--seconds 15]

All serve the same weights at the same input size with the same preparation, and get the same
picture, a JPEG in a form. They run one after another: wrk with 1, 8 and 32 clients, then a constant
rate at half of the peak. For `catdog`, at 224 px and at the size that is shipped; for `mnist`,
where HTTP is the cost, beside an endpoint that reads its upload and answers a constant. The ceiling
is decoding and the engine alone, on the same cores.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from app.engines.options import EngineOptions, Preference
from app.vision import checkpoint
from benchmarks.classify.ceiling import ceiling
from benchmarks.classify.contestants import (
    ROOT,
    Contestant,
    Running,
    bentoml,
    constant,
    install_peers,
    litserve,
    ours,
    plain,
    running,
)
from benchmarks.classify.images import sample
from benchmarks.classify.load import Load, closed_loop, open_loop

_CLIENTS = (1, 8, 32)
_WARM_S = 3.0
_LITSERVE = ((8, 0.005, 1, 2), (8, 0.02, 1, 2), (8, 0.005, 1, 1), (4, 0.005, 2, 1))
"""Batch sizes, timeouts in seconds, worker processes and threads of each."""

_THREADS = (1, 2)
_SAMPLED_S = 1.0


@dataclass(frozen=True)
class Trial:
    """A model at an input size, and the picture that is sent."""

    title: str
    model: str
    models: Path
    image: bytes


@dataclass(frozen=True)
class Result:
    """The measurements of one service."""

    contestant: Contestant
    closed: dict[int, Load]
    steady: Load
    peak_bytes: int
    start_s: float


def main() -> None:
    """Run everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["catdog", "mnist"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 0], help="0: as shipped")
    parser.add_argument("--engine", choices=get_args(Preference), default="auto", help="of ours")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    parser.add_argument("--ours-alone", action="store_true", help="without the peers")
    args = parser.parse_args()
    install_peers()
    with tempfile.TemporaryDirectory() as folder:
        for trial in _trials(args.models, args.sizes, args.models_dir, Path(folder)):
            _run(trial, args.engine, args.seconds, with_peers=not args.ours_alone)


def _trials(models: Sequence[str], sizes: Sequence[int], source: Path, to: Path) -> Iterator[Trial]:
    for model in models:
        card = checkpoint.load_card(model, source)
        shipped_px = card.spec.input.width
        for side_px in (
            {size or shipped_px for size in sizes} if model == "catdog" else [shipped_px]
        ):
            folder = to / model / str(side_px)
            folder.mkdir(parents=True)
            for path in source.glob(f"{model}.*"):
                shutil.copy(path, folder)
            resized = replace(card, spec=replace(card.spec, input=card.spec.input.sized(side_px)))
            (folder / f"{model}.json").write_text(json.dumps(resized.to_json()))
            yield Trial(f"{model} at {side_px} px", model, folder, sample(model))


def _run(trial: Trial, engine: Preference, seconds: float, *, with_peers: bool) -> None:
    print(f"\n{trial.title}, a picture of {len(trial.image) / 1000:.1f} kB", flush=True)
    options = EngineOptions(
        engine,
        threads=os.cpu_count() or 1,
        compiled=False,
        cache=ROOT / "runs/classify-var/engines",
        models=trial.models,
    )
    top = ceiling(trial.model, options, trial.image, seconds)
    print(f"ceiling: {top:.1f} images/s", flush=True)
    results = [_measured(ours(trial.model, engine), trial, seconds)]
    print(f"{results[0].closed[8].rate / top:.0%} of the ceiling", flush=True)
    if with_peers:
        results += [_measured(peer, trial, seconds) for peer in _peers(trial.model)]
        _compare(results)


def _peers(model: str) -> Iterator[Contestant]:
    if model == "mnist":
        yield constant()
    yield from map(plain, _THREADS)
    yield from (litserve(*options) for options in _LITSERVE)
    yield from map(bentoml, _THREADS)


def _measured(contestant: Contestant, trial: Trial, seconds: float) -> Result:
    with (
        running(contestant, trial.model, trial.models, trial.image) as service,
        _peak_memory(service) as samples,
    ):
        closed_loop(service.url, trial.image, clients=8, seconds=_WARM_S)
        closed = {
            clients: closed_loop(service.url, trial.image, clients=clients, seconds=seconds)
            for clients in _CLIENTS
        }
        half = max(load.rate for load in closed.values()) / 2
        steady = open_loop(service.url, trial.image, rate=half, seconds=seconds)
        samples.append(service.memory_bytes())
        found = Result(contestant, closed, steady, max(samples), service.start_s)
    _show(found)
    return found


@contextmanager
def _peak_memory(service: Running) -> Iterator[list[int]]:
    """Note the memory of a service again and again, in bytes."""
    samples: list[int] = []
    done = threading.Event()

    def sample_all() -> None:
        while not done.wait(_SAMPLED_S):
            samples.append(service.memory_bytes())

    thread = threading.Thread(target=sample_all)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _show(result: Result) -> None:
    print(
        f"{result.contestant.name} ({result.contestant.options}): first answer after "
        f"{result.start_s:.1f} s, at most {result.peak_bytes / 1e6:.0f} MB"
    )
    for clients, load in result.closed.items():
        print(f"  {clients:3} clients   {load}")
    print(f"  half of peak  {result.steady}", flush=True)


def _compare(results: Sequence[Result]) -> None:
    """Print how we do beside each peer at the best of its options, by its pace for 8 clients."""
    us, *peers = results
    best: dict[str, Result] = {}
    for peer in sorted(peers, key=lambda each: each.closed[8].rate):
        best[peer.contestant.name] = peer
    for name, peer in best.items():
        paces = (
            f"{us.closed[clients].rate / peer.closed[clients].rate:.2f}" for clients in _CLIENTS
        )
        print(
            f"Atelier / {name} ({peer.contestant.options}): pace with {_CLIENTS} clients "
            f"{', '.join(paces)}; alone p50 {us.closed[1].p50_ms / peer.closed[1].p50_ms:.2f}; "
            f"8 clients p99 {us.closed[8].p99_ms / peer.closed[8].p99_ms:.2f}; "
            f"memory {us.peak_bytes / peer.peak_bytes:.2f}"
        )


if __name__ == "__main__":
    main()
