"""How near the estimate is: promised and real seconds and bytes, over sizes and presets.

    python -m benchmarks.estimate [--sizes 128 256 512]

The bar: within a factor of 1.5. Run it on an idle host.
"""

import argparse
import time

import torch
from PIL import Image

from app.style import transfer
from app.style.builtin import path_of
from app.style.calibrate import calibrate
from app.style.estimate import estimate
from app.style.options import Quality, StyleOptions
from app.style.targets import StyleTargets
from app.style.vgg import VGG19

BAR = 1.5


def main() -> None:
    """Print one line per size and preset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    args = parser.parse_args()
    targets = StyleTargets(VGG19.load(torch.device("cpu")))
    started = time.perf_counter()
    calibration = calibrate(targets)
    print(f"calibrated in {time.perf_counter() - started:.1f} s: {calibration}")
    photo = Image.effect_noise((640, 480), 64).convert("RGB")
    style = Image.open(path_of("brushwork") or "").convert("RGB")
    print("  size   quality  estimate     truth  factor  (steps)")
    worst = 1.0
    for size in args.sizes:
        for quality in Quality:
            options = StyleOptions(size=size, quality=quality, seed=0)
            promised = estimate(options, *photo.size, calibration).seconds
            started = time.perf_counter()
            *_, step = transfer.stylize(photo, [style], options, targets=targets)
            real = time.perf_counter() - started
            factor = max(promised / real, real / promised)
            worst = max(worst, factor)
            print(
                f"{size:>6} {quality:>9} {promised:>8.1f}s {real:>8.1f}s {factor:>7.2f}  "
                f"({step.step} of {step.steps})"
            )
    print(f"worst factor {worst:.2f}: {'ok' if worst <= BAR else 'OVER'} (bar {BAR})")


if __name__ == "__main__":
    main()
