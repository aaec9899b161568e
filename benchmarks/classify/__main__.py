"""Measures `POST /classify` beside a plain service, LitServe and BentoML, on an idle host.

    python -m benchmarks.classify [--models catdog mnist] [--seconds 15]

All serve the same weights at the same input size with the same preparation, and get the same
picture, a JPEG in a form. They run one after another: wrk with 1, 8 and 32 clients, then a constant
rate at half of the peak. For `catdog`, at 224 px and at the size that is shipped; for `mnist`,
where HTTP is the cost, beside an endpoint that reads its upload and answers a constant. The ceiling
is decoding and the engine alone, on the same cores.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.vision import checkpoint
from benchmarks.classify.ceiling import ceiling
from benchmarks.classify.contestants import (
    ROOT,
    Contestant,
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
_LITSERVE = ((8, 0.005, 1), (8, 0.02, 1), (4, 0.005, 2))
"""Batch sizes, timeouts in seconds and worker processes; the best at 8 clients counts."""


@dataclass(frozen=True)
class Trial:
    """A model at an input size, and the picture that is sent."""

    title: str
    model: str
    models: Path
    image: bytes


@dataclass(frozen=True)
class Result:
    """What one service did."""

    name: str
    closed: dict[int, Load]
    constant: Load
    memory_bytes: int
    start_s: float

    @property
    def peak(self) -> float:
        """Most answers a second."""
        return max(load.rate for load in self.closed.values())


def main() -> None:
    """Run everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["catdog", "mnist"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 0], help="0: as shipped")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    parser.add_argument("--ours-alone", action="store_true", help="without the peers")
    args = parser.parse_args()
    install_peers()
    with tempfile.TemporaryDirectory() as folder:
        for trial in _trials(args.models, args.sizes, args.models_dir, Path(folder)):
            _run(trial, args.seconds, with_peers=not args.ours_alone)


def _trials(models: Sequence[str], sizes: Sequence[int], source: Path, to: Path) -> Iterator[Trial]:
    for model in models:
        card, network = checkpoint.load(model, source)
        if model != "catdog":
            checkpoint.save(card, network.state_dict(), to / model)
            yield Trial(model, model, to / model, sample(model))
            continue
        for size in sizes:
            side_px = size or card.spec.input.width
            spec = replace(card.spec, input=card.spec.input.sized(side_px))
            folder = to / str(side_px)
            checkpoint.save(replace(card, spec=spec), network.state_dict(), folder)
            yield Trial(f"{model} at {side_px} px", model, folder, sample(model))


def _run(trial: Trial, seconds: float, *, with_peers: bool) -> None:
    print(f"\n{trial.title}, a picture of {len(trial.image) / 1000:.1f} kB", flush=True)
    cache = ROOT / "runs/classify-var/engines"
    top = ceiling(trial.model, trial.models, cache, trial.image, seconds)
    print(f"ceiling: {top:.1f} images/s", flush=True)
    results = [_measured(ours(trial.model), trial, seconds)]
    if with_peers:
        peers = [constant()] if trial.model == "mnist" else []
        peers += [plain(), *(litserve(*options) for options in _LITSERVE), bentoml()]
        results += [_measured(peer, trial, seconds) for peer in peers]
    _compare(results, top)


def _measured(contestant: Contestant, trial: Trial, seconds: float) -> Result:
    with running(contestant, trial.model, trial.models, trial.image) as service:
        closed_loop(service.url, trial.image, clients=8, seconds=_WARM_S)
        closed = {
            clients: closed_loop(service.url, trial.image, clients=clients, seconds=seconds)
            for clients in _CLIENTS
        }
        half = max(load.rate for load in closed.values()) / 2
        steady = open_loop(service.url, trial.image, rate=half, seconds=seconds)
        found = Result(contestant.name, closed, steady, service.memory_bytes(), service.start_s)
    _show(found)
    return found


def _show(result: Result) -> None:
    print(
        f"{result.name}: first answer after {result.start_s:.1f} s, "
        f"{result.memory_bytes / 1e6:.0f} MB"
    )
    for clients, load in result.closed.items():
        print(f"  {clients:3} clients   {load}")
    print(f"  half of peak  {result.constant}", flush=True)


def _compare(results: Sequence[Result], top: float) -> None:
    us = results[0]
    print(f"atelier with 8 clients: {us.closed[8].rate / top:.0%} of the ceiling")
    for other in results[1:]:
        print(
            f"atelier / {other.name}: 8 clients {us.closed[8].rate / other.closed[8].rate:.2f}x, "
            f"alone p50 {us.closed[1].p50_ms / other.closed[1].p50_ms:.2f}x"
        )


if __name__ == "__main__":
    main()
