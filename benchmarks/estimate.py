"""Accuracy of the estimate: promised and real seconds and bytes, over sizes and presets.

    python -m benchmarks.estimate [--sizes 128 256 512]

The bar: within a factor of 1.5. The promise is for all steps; a stage that has nothing left to gain
ends early, so that a painting may take less. The time is therefore compared for the steps that were
taken. Bytes are the peak of a process of its own for each painting, and an upper bound is wanted.
Run it on an idle host.
"""

import argparse
import json
import time

from PIL import Image

from app.style.builtin import path_of
from app.style.calibration import calibrate
from app.style.estimate import estimate, remaining_s
from app.style.options import Quality, StyleOptions
from app.style.schedule import plan
from app.style.targets import StyleTargets
from app.style.transfer import stylize
from app.style.vgg import VGG19
from app.vision.device import choose_device
from app.vision.heap import retain_freed_memory
from benchmarks.process import peak_bytes, run

BAR = 1.5
PHOTO_SIZE = (640, 480)


def main() -> None:
    """Print one line per size and preset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--child", type=Quality, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        paint(StyleOptions(size=args.sizes[0], quality=args.child, seed=0))
        return
    print("  size   quality  seconds: all  taken   truth  factor  GB: promise  truth  factor")
    worst_s = worst_bytes = 1.0
    for size in args.sizes:
        for quality in Quality:
            found = json.loads(run("benchmarks.estimate", "--sizes", size, "--child", quality))
            seconds, real_s = found["taken_s"], found["real_s"]
            factor_s = max(seconds / real_s, real_s / seconds)
            factor_bytes = found["bytes"] / found["real_bytes"]
            worst_s = max(worst_s, factor_s)
            worst_bytes = max(worst_bytes, factor_bytes, 1 / factor_bytes)
            print(
                f"{size:>6} {quality:>9} {found['all_s']:>13.1f} {seconds:>6.1f} {real_s:>7.1f} "
                f"{factor_s:>7.2f} {found['bytes'] / 1e9:>12.2f} {found['real_bytes'] / 1e9:>6.2f} "
                f"{factor_bytes:>7.2f}  ({found['steps']})"
            )
    for name, worst in (("seconds", worst_s), ("bytes", worst_bytes)):
        print(f"{name}: worst factor {worst:.2f}: {'ok' if worst <= BAR else 'OVER'} (bar {BAR})")


def paint(options: StyleOptions) -> None:
    """Calibrate, estimate and paint in this process; prints what was promised and what was true."""
    retain_freed_memory()
    targets = StyleTargets(VGG19.load(choose_device("cpu")))
    calibration = calibrate(targets)
    promised = estimate(options, PHOTO_SIZE, calibration)
    photo = Image.effect_noise(PHOTO_SIZE, 64).convert("RGB")
    style = Image.open(path_of("brushwork") or "").convert("RGB")
    stages = plan(options, *PHOTO_SIZE)
    skipped_s = 0.0
    before = 0
    started = time.perf_counter()
    for step in stylize(photo, [style], options, targets=targets):
        if step.step > before + 1:  # a stage has ended early
            left = [remaining_s(stages, number, calibration) for number in (before, step.step - 1)]
            skipped_s += left[0] - left[1]
        before = step.step
    real_s = time.perf_counter() - started
    skipped_s += remaining_s(stages, before, calibration)
    found = {
        "all_s": promised.seconds,
        "taken_s": promised.seconds - skipped_s,
        "real_s": real_s,
        "bytes": promised.bytes,
        "real_bytes": peak_bytes(),
        "steps": f"{step.step} of {step.steps}",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
