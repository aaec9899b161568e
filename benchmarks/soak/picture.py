"""The picture of a soak."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.soak.clients import Answer
from benchmarks.soak.samples import PROCESSES, Sample

_WINDOW_S = 30.0


def draw(path: Path, samples: Sequence[Sample], answers: Sequence[Answer]) -> None:
    """Draw memory, descriptors, disk and latency over time, as SVG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - of the extra [train]

    figure = Figure(figsize=(9, 6), layout="constrained")
    (memory, held), (disk, latency) = figure.subplots(2, 2, sharex=True)
    for name in PROCESSES:
        of = [each for each in samples if name in each.processes]
        minutes = [each.at_s / 60 for each in of]
        memory.plot(minutes, [each.processes[name].resident_bytes / 1e6 for each in of], label=name)
        held.plot(minutes, [each.processes[name].descriptors for each in of], label=name)
    disk.plot([each.at_s / 60 for each in samples], [each.disk_bytes / 1e6 for each in samples])
    for part in (50, 95):
        latency.plot(*_percentiles(answers, part / 100), label=f"p{part}")
    titles = ("resident memory, MB", "descriptors", "disk use, MB", "POST /classify, ms")
    for axes, title in zip((memory, held, disk, latency), titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        if axes is not disk:
            axes.legend(fontsize=8)
    disk.set_xlabel("minutes")
    latency.set_xlabel("minutes")
    figure.savefig(path, metadata={"Date": None})


def _percentiles(answers: Sequence[Answer], part: float) -> tuple[list[float], list[float]]:
    windows: dict[int, list[float]] = {}
    for each in answers:
        if each.deed == "classify" and each.status == 200:
            windows.setdefault(int(each.at_s / _WINDOW_S), []).append(1000 * each.took_s)
    minutes = [(window + 0.5) * _WINDOW_S / 60 for window in windows]
    return minutes, [sorted(took)[int(part * len(took))] for took in windows.values()]
