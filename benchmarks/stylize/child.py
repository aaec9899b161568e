"""Paints in a process of its own, and keeps pictures of all sizes for the judge."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from app.style.options import Quality, StyleOptions
from app.style.targets import StyleTargets
from app.style.transfer import StyleStep, stylize
from app.style.vgg import VGG19
from app.vision.device import choose_device
from app.vision.heap import retain_freed_memory
from benchmarks.process import peak_bytes
from benchmarks.stylize.evaluator import ALPHA, BETA

_KEEP_STEPS = 5


def paint(content: Path, style: Path, quality: str, kept: Path) -> None:
    """Paint; writes the pictures of every fifth step to a file when all is done.

    Time counts from the start of the process, imports and weights included.
    """
    images = [Image.open(path).convert("RGB") for path in (content, style)]
    size = max(images[0].size)
    options = StyleOptions(
        size=size, quality=Quality(quality), content_weight=ALPHA, style_weight=BETA, seed=0
    )
    retain_freed_memory()
    targets = StyleTargets(VGG19.load(choose_device("cpu")))
    found: list[tuple[float, StyleStep]] = []
    durations = []
    before = time.perf_counter()
    for step in stylize(images[0], images[1:], options, targets=targets):
        now = time.perf_counter()
        if max(step.width, step.height) == size:
            durations.append(now - before)
        if step.step % _KEEP_STEPS == 0:
            found.append((since_start_s(), step))
        before = now
    if found[-1][1] is not step:
        found.append((since_start_s(), step))
    peak = peak_bytes()
    torch.save([(time_s, *_pictures(step, images[0])) for time_s, step in found], kept)
    rest = sorted(durations[2:])  # the first two look at the style and lay out the weights
    print(json.dumps({"step_s": rest[len(rest) // 2], "peak_bytes": peak}))


def _pictures(step: StyleStep, content: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the delivered picture, and its floats: (1, 3, H, W), 0..255, at full size."""
    delivered = torch.from_numpy(np.array(step.result())).permute(2, 0, 1)[None]
    size = (content.height, content.width)
    painting = step.painting
    if painting.shape[2:] != size:
        painting = functional.interpolate(painting, size, mode="bicubic")
    return delivered, painting * 255


def since_start_s() -> float:
    """Seconds since this process was started."""
    started = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    paint(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
