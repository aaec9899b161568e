"""Time to quality, beside the peer: `pastiche` 1.6 and this program paint the same pictures.

    python -m benchmarks.stylize [--pairs 3] [--steps 500] [--size 512] [--work DIR]

Both get the same pictures at the same size and the same weighting (alpha 0.01, beta 10). Their
pictures over time, those of the coarse stages enlarged, are scored by one evaluator: the loss as
the paper has it, in float32 with the peer's own network, so that no code of this program judges
itself. The peer's clock starts after its imports, ours before. The peer's run (some ten minutes a
pair) is kept in the work folder and used again. Run it on an idle host.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.process import run
from benchmarks.stylize.evaluator import Curve, Evaluator, at_size, first
from benchmarks.stylize.floor import floor_s
from benchmarks.stylize.peer import peer_run

PAIRS = (
    ("tubingen", "starry_night"),
    ("golden_gate", "the_scream"),
    ("hoovertowernight", "shipwreck"),
)
QUALITIES = ("standard", "high")  # those that end at full size
DELIVERED_BAR, FLOAT_BAR = 15, 4
STEP_BAR_S, STEP_BAR_SIZE = 0.40, (512, 384)


def main() -> None:
    """Run both on every pair and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    parser.add_argument("--steps", type=int, default=500, help="of the peer")
    parser.add_argument("--size", type=int, default=512, help="longest side, px")
    parser.add_argument("--qualities", nargs="+", choices=QUALITIES, default=QUALITIES)
    parser.add_argument("--work", type=Path, default=Path("runs/stylize"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"load at the start: {os.getloadavg()}")
    results = [compare(*pair, args) for pair in PAIRS[: args.pairs]]
    (args.work / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    plot(results, args.work / "loss-over-time.png")
    print(f"load at the end: {os.getloadavg()}; figure: {args.work / 'loss-over-time.png'}")


def compare(photo: str, painting: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one pair; prints its lines."""
    folder = Path(os.environ.get("ATELIER_DATASETS", "data")) / "pictures"
    content, style = (
        at_size(folder / f"{name}.jpg", args.size, args.work) for name in (photo, painting)
    )
    evaluator = Evaluator(content, style)
    peer = peer_run(content, style, args.steps, args.work, evaluator)
    last = peer["curve"][-1]
    print(
        f"{photo} in the style of {painting}; pastiche, {args.steps} steps: {last['t']:.0f} s, "
        f"delivered {last['delivered']:.0f}, float {last['float']:.0f}, "
        f"peak {peer['peak_bytes'] / 1e9:.2f} GB"
    )
    result: dict[str, Any] = {"photo": photo, "painting": painting, "pastiche": peer}
    with Image.open(content) as image:
        width, height = image.size
    least_s, gflop, gflop_per_s = floor_s(width, height)
    bar_s = STEP_BAR_S * width * height / (STEP_BAR_SIZE[0] * STEP_BAR_SIZE[1])
    for quality in args.qualities:
        ours = our_run(content, style, quality, args.work, evaluator)
        result[quality] = ours
        end = ours["curve"][-1]
        print(
            f"  atelier {quality}: {end['t']:.1f} s, delivered {end['delivered']:.0f}, "
            f"float {end['float']:.0f}, peak {ours['peak_bytes'] / 1e9:.2f} GB\n"
            f"    {ours['step_s']:.3f} s per step of {width}x{height} px, bar {bar_s:.3f} s, "
            f"floor {least_s:.3f} s ({gflop:.0f} GFLOP at {gflop_per_s:.0f} GFLOP/s)"
        )
        for score, bar in (("delivered", DELIVERED_BAR), ("float", FLOAT_BAR)):
            print("    " + sooner(score, bar, peer["curve"], ours["curve"]))
    return result


def sooner(score: str, bar: float, peer: Curve, ours: Curve) -> str:
    """Compare the times at which both first reach the peer's final score."""
    goal = peer[-1][score]
    peer_s, ours_s = first(peer, score, goal), first(ours, score, goal)
    text = f"{score} <= {goal:.0f}: pastiche {peer_s:.1f} s, "
    if ours_s is None:
        best = min(point[score] for point in ours)
        return text + f"atelier never (best {best:.0f})"
    ratio = (peer_s or peer[-1]["t"]) / ours_s
    return text + f"atelier {ours_s:.1f} s, {ratio:.1f}x sooner (bar {bar}x)"


def our_run(
    content: Path, style: Path, quality: str, work: Path, evaluator: Evaluator
) -> dict[str, Any]:
    """Run this program in a process of its own and score what it kept."""
    file = work / f"atelier-{quality}-{content.stem}.pt"
    output = run("benchmarks.stylize.child", content, style, quality, file)
    kept = torch.load(file)
    file.unlink()
    curve = [
        {"t": time_s, "delivered": evaluator(delivered.float()), "float": evaluator(painting)}
        for time_s, delivered, painting in kept
    ]
    Image.fromarray(kept[-1][1][0].permute(1, 2, 0).numpy()).save(file.with_suffix(".png"))
    return {"curve": curve, **json.loads(output)}


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw loss over time, a column per pair, a row per score."""
    figure = Figure(figsize=(4.5 * len(results), 7), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, result in enumerate(results):
        for axis, score in zip(axes[:, column], ("delivered", "float"), strict=True):
            for name in (key for key in result if key not in ("photo", "painting")):
                curve = result[name]["curve"]
                axis.loglog([p["t"] for p in curve], [p[score] for p in curve], label=name)
            axis.axhline(result["pastiche"]["curve"][-1][score], color="gray", linewidth=0.8)
            axis.set(title=f"{result['photo']}, {score}", xlabel="seconds", ylabel="loss")
            axis.legend()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
