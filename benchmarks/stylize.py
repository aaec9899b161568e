"""Time to quality, beside the peer: `pastiche` 1.6 and this program paint the same pictures.

    python -m benchmarks.stylize [--pairs 3] [--steps 500] [--work DIR] [--qualities standard high]

Both get the same 512 px pictures and the same weighting (alpha 0.01, beta 10). Their pictures over
time are scored by one evaluator: the loss as the paper has it, written out below in float32 with
the peer's own network, so that no code of this program judges itself. The peer's run (some ten
minutes a pair) is kept in the work folder, by host and version, and used again.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pastiche import pastiche, vgg19
from PIL import Image
from torch import Tensor

from benchmarks.stylize_child import ALPHA, BETA, SIZE_PX

PAIRS = (
    ("tubingen", "starry_night"),
    ("golden_gate", "the_scream"),
    ("hoovertowernight", "shipwreck"),
)
PEER_SNAPSHOT_STEPS = 10
QUALITIES = ("standard", "high")  # those that end at full size
DELIVERED_BAR, FLOAT_BAR, STEP_BAR_S = 15, 4, 0.40
CONTENT = "block4_relu2"
STYLES = tuple(f"block{block}_relu1" for block in range(1, 6))

Curve = list[dict[str, float]]  # t (seconds since the start), delivered, float


def main() -> None:
    """Run both on every pair and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    parser.add_argument("--steps", type=int, default=500, help="of the peer")
    parser.add_argument("--qualities", nargs="+", choices=QUALITIES, default=QUALITIES)
    parser.add_argument("--work", type=Path, default=Path("runs/stylize"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results = [compare(*pair, args) for pair in PAIRS[: args.pairs]]
    (args.work / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    plot(results, args.work / "loss-over-time.png")
    print(f"loads at the end: {os.getloadavg()}; figure: {args.work / 'loss-over-time.png'}")


def compare(photo: str, painting: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one pair; prints its lines."""
    folder = Path(os.environ.get("ATELIER_DATASETS", "data")) / "pictures"
    content, style = (at_size(folder / f"{name}.jpg", args.work) for name in (photo, painting))
    evaluator = Evaluator(content, style)
    peer = peer_run(content, style, args, evaluator)
    last = peer["curve"][-1]
    print(
        f"{photo} in the style of {painting}; pastiche, {args.steps} steps: {last['t']:.0f} s, "
        f"delivered {last['delivered']:.0f}, float {last['float']:.0f}, "
        f"peak {peer['peak_bytes'] / 1e9:.2f} GB"
    )
    result: dict[str, Any] = {"photo": photo, "painting": painting, "pastiche": peer}
    for quality in args.qualities:
        ours = our_run(content, style, quality, args.work, evaluator)
        result[quality] = ours
        print(
            f"  atelier {quality}: {ours['curve'][-1]['t']:.1f} s, "
            f"{ours['step_s']:.3f} s per full-size step (bar {STEP_BAR_S}), "
            f"peak {ours['peak_bytes'] / 1e9:.2f} GB"
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


def first(curve: Curve, score: str, goal: float) -> float | None:
    """When a curve first is at or below a score."""
    return next((point["t"] for point in curve if point[score] <= goal), None)


class Evaluator:
    """The literal loss in float32, by the peer's network and nothing of ours."""

    def __init__(self, content: Path, style: Path) -> None:
        folder = Path(vgg19.__file__).parent
        (weights,) = folder.glob("*_q.bin")
        self._network = vgg19.VGG19.from_quantized_bin(str(weights))
        self._mean = torch.tensor(pastiche.VGG_MEAN).view(1, 3, 1, 1)
        self._content = self._features(pixels(content))[CONTENT]
        found = self._features(pixels(style))
        self._styles = {name: self._gram(found[name]) for name in STYLES}

    def __call__(self, picture: Tensor) -> float:
        """Score float32 (1, 3, H, W), RGB, 0..255."""
        found = self._features(picture)
        loss = ALPHA * (found[CONTENT] - self._content).square().mean()
        for name, target in self._styles.items():
            matrix = self._gram(found[name])
            loss += BETA / len(matrix) ** 2 * (matrix - target).square().mean()
        return loss.item()

    @torch.no_grad()
    def _features(self, picture: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self._network(picture.flip(1) - self._mean, [CONTENT, *STYLES])
        return found

    @staticmethod
    def _gram(features: Tensor) -> Tensor:
        flat = features[0].flatten(1)
        return flat @ flat.T / flat.shape[1]


def at_size(path: Path, work: Path) -> Path:
    """A copy whose longest side is SIZE_PX, so that neither system's resizing plays a part."""
    image = Image.open(path).convert("RGB")
    scale = SIZE_PX / max(image.size)
    target = work / f"{path.stem}-{SIZE_PX}.png"
    size = [round(side * scale) for side in image.size]
    image.resize((size[0], size[1]), Image.Resampling.LANCZOS).save(target)
    return target


def pixels(path: Path) -> Tensor:
    """A picture file as float32 (1, 3, H, W), RGB, 0..255."""
    array = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1)[None].float()


def scored(time_s: float, picture: Tensor, evaluator: Evaluator) -> dict[str, float]:
    """A point of a curve, for float32 (1, 3, H, W), RGB, 0..255."""
    return {
        "t": time_s,
        "float": evaluator(picture),
        "delivered": evaluator(picture.round().clamp(0, 255)),
    }


def peer_run(
    content: Path, style: Path, args: argparse.Namespace, evaluator: Evaluator
) -> dict[str, Any]:
    """Run `pastiche`, or find its run on this host in the cache.

    It saves 8-bit snapshots. The loss that it prints is that of the float picture one step before.
    What its snapshots cost is taken off its time.
    """
    host = f"{platform.node()}-{cpu()}-{os.cpu_count()}-{torch.__version__}"
    what = f"{host}-{version('pastiche')}-{content.name}-{style.name}-{SIZE_PX}-{args.steps}"
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    cache = args.work / f"pastiche-{content.stem}-{style.stem}-{digest}.json"
    if cache.exists():
        cached: dict[str, Any] = json.loads(cache.read_text())
        return cached
    snapshots = args.work / f"pastiche-{content.stem}-{style.stem}"
    options = {
        "--size": SIZE_PX,
        "--style-size": SIZE_PX,
        "--seed": 0,
        "--num-steps": args.steps + 1,
        "--info-step": 1,
        "--workspace": snapshots,
        "--workspace-step": PEER_SNAPSHOT_STEPS,
        "--output": args.work / f"pastiche-{content.stem}.png",
        "--device": "cpu",
        "--content": content,
        "--styles": style,
    }
    given = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "pastiche", *given]
    output, peak_bytes = watched(command)
    printed = re.findall(r"^(\d+) +([\d.]+) +([\d.]+) *$", output, re.MULTILINE)
    losses = {int(step): float(loss) for step, _, loss in printed}
    save_s = snapshot_s(pixels(content))
    curve = []
    for number, elapsed, _ in printed:
        step = int(number)
        if step % PEER_SNAPSHOT_STEPS == 0 and step + 1 in losses:
            (snapshot,) = snapshots.glob(f"{step:0{len(str(args.steps + 1))}d}.png")
            time_s = float(elapsed) - save_s * (step // PEER_SNAPSHOT_STEPS + 1)
            delivered = evaluator(pixels(snapshot))
            curve.append({"t": time_s, "delivered": delivered, "float": losses[step + 1]})
    result = {"curve": curve, "peak_bytes": peak_bytes, "host": host, "load": os.getloadavg()}
    cache.write_text(json.dumps(result, indent=2) + "\n")
    return result


def snapshot_s(picture: Tensor) -> float:
    """Seconds that the peer takes to save one picture."""
    durations = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            started = time.perf_counter()
            pastiche.save_image(picture, f"{folder}/snapshot.png")
            durations.append(time.perf_counter() - started)
    return min(durations)


def our_run(
    content: Path, style: Path, quality: str, work: Path, evaluator: Evaluator
) -> dict[str, Any]:
    """Run this program in a process of its own and score what it kept."""
    module = [sys.executable, "-m", "benchmarks.stylize_child"]
    output, peak_bytes = watched([*module, str(content), str(style), quality])
    kept = work / f"atelier-{quality}"
    data = json.loads(output)
    pictures = torch.load(data["file"])
    Path(data["file"]).unlink()
    curve = [
        scored(time_s, picture * 255, evaluator)
        for time_s, picture in zip(data["times"], pictures, strict=True)
    ]
    last = pictures[-1][0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(last).save(f"{kept}-{content.stem}.png")
    return {"curve": curve, "peak_bytes": peak_bytes, "step_s": data["step_s"]}


def watched(command: list[str]) -> tuple[str, int]:
    """Run a command: what it printed, and its peak resident bytes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = list(follow(process))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return "".join(lines), usage.ru_maxrss * 1024


def follow(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield what a process prints, and show that it lives."""
    for line in process.stdout or ():
        sys.stderr.write("." if len(line) < 60 else "")
        sys.stderr.flush()
        yield line


def cpu() -> str:
    """The processor's name."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw loss over time, a column per pair, a row per score."""
    figure = Figure(figsize=(4.5 * len(results), 7), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, result in enumerate(results):
        for axis, score in zip(axes[:, column], ("delivered", "float"), strict=True):
            for name in (key for key in result if key not in ("photo", "painting")):
                curve = result[name]["curve"]
                axis.loglog([p["t"] for p in curve], [p[score] for p in curve], label=name)
            axis.axhline(result["pastiche"]["curve"][-1][score], color="grey", linewidth=0.8)
            axis.set(title=f"{result['photo']}, {score}", xlabel="seconds", ylabel="loss")
            axis.legend()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
