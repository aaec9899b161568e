"""Detection of growth in memory, descriptors and disk."""

import statistics
from collections.abc import Sequence

from benchmarks.soak.samples import PROCESSES, Sample

WARM_UP = 1 / 3
"""The part of the time in which caches and pools may fill."""

_SHORTEST_S = 600.0
_SOME_BYTES = 30e6
_SOME = {"resident_bytes": _SOME_BYTES, "descriptors": 8.0, "threads": 8.0}
_FEWEST = 10
_PART = 0.05


def growths(samples: Sequence[Sample]) -> list[str]:
    """Say what grew after warm-up by more than a twentieth, and more than noise does.

    Of less than ten minutes nothing can be said.
    """
    if samples[-1].at_s < _SHORTEST_S:
        return []
    late = [each for each in samples if each.at_s >= WARM_UP * samples[-1].at_s]
    found: list[str] = []
    for name in PROCESSES:
        held = [each for each in late if name in each.processes]
        for what, some in _SOME.items():
            values = [float(getattr(each.processes[name], what)) for each in held]
            found.append(_grown(f"{what} of {name}", held, values, some))
    found.append(_grown("disk_bytes", late, [each.disk_bytes for each in late], _SOME_BYTES))
    return [each for each in found if each]


def _grown(what: str, samples: Sequence[Sample], values: Sequence[float], some: float) -> str:
    if len(samples) < _FEWEST:
        return f"{what} cannot be judged: it hardly lived"
    times = [each.at_s for each in samples]
    lasted_s = times[-1] - times[0]
    grown = statistics.linear_regression(times, values).slope * lasted_s
    if grown <= max(some, _PART * statistics.median(values)):
        return ""
    return f"{what} grew by {grown:,.0f} in {lasted_s:,.0f} s"
