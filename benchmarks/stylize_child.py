"""This program's part of `benchmarks.stylize`: paints in a process of its own."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from app.style.options import Quality, StyleOptions
from app.style.targets import StyleTargets
from app.style.transfer import stylize
from app.style.vgg import VGG19
from app.vision.device import choose_device

SIZE_PX = 512
ALPHA, BETA = 0.01, 10.0


def paint(content: Path, style: Path, quality: str) -> None:
    """Paint in this process; keeps the float picture of every fifth step in memory until the end.

    Time counts from the start of the process, imports and weights included, as the peer's does.
    """
    options = StyleOptions(
        size=SIZE_PX, quality=Quality(quality), content_weight=ALPHA, style_weight=BETA, seed=0
    )
    targets = StyleTargets(VGG19.load(choose_device("cpu")))
    images = [Image.open(path).convert("RGB") for path in (content, style)]
    times, pictures, durations = [], [], []
    before = time.perf_counter()
    for step in stylize(images[0], images[1:], options, targets=targets):
        now = time.perf_counter()
        if max(step.width, step.height) == SIZE_PX:
            durations.append(now - before)
            if step.step % 5 == 0 or step.step == step.steps:
                times.append(since_start())
                pictures.append(step.painting)
        before = now
    if not times or pictures[-1] is not step.painting:
        times.append(since_start())
        pictures.append(step.painting)
    file = content.with_name(f"{content.stem}-{os.getpid()}.pt")
    torch.save(pictures, file)
    step_s = sorted(durations[2:])[len(durations[2:]) // 2]
    print(json.dumps({"times": times, "file": str(file), "step_s": step_s}))


def since_start() -> float:
    """Seconds since this process was started."""
    started = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    paint(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
