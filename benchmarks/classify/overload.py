"""Overloads `POST /classify` for minutes: does it keep its pace, its deadline and its memory?

    python -m benchmarks.classify.overload [--model catdog] [--minutes 5]

64 clients, each of which asks again as soon as it has its answer, against the best that 8 clients
get. Memory is compared between the end of the first minute and of the last.
"""

import argparse
from pathlib import Path

from benchmarks.classify.contestants import ROOT, ours, running
from benchmarks.classify.images import sample
from benchmarks.classify.load import closed_loop

_CLIENTS, _USUAL_CLIENTS = 64, 8
_MINUTE_S = 60.0


def main() -> None:
    """Run it, and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="catdog")
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    args = parser.parse_args()
    image = sample(args.model)
    with running(ours(args.model), args.model, args.models_dir, image) as service:
        usual = closed_loop(service.url, image, clients=_USUAL_CLIENTS, seconds=_MINUTE_S / 3)
        print(f"{_USUAL_CLIENTS:3} clients   {usual}", flush=True)
        memory = []
        for minute in range(args.minutes):
            load = closed_loop(service.url, image, clients=_CLIENTS, seconds=_MINUTE_S)
            memory.append(service.memory_bytes())
            print(
                f"{_CLIENTS:3} clients   {load}   {load.rate / usual.rate:.2f} of the usual pace, "
                f"minute {minute + 1}: {memory[-1] / 1e6:.0f} MB",
                flush=True,
            )
    print(f"memory at the end / after the first minute: {memory[-1] / memory[0]:.3f}")


if __name__ == "__main__":
    main()
