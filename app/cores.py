"""The number of processor cores that this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available_cores(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Count the cores of its affinity, or fewer where a container allows less time than theirs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):  # no such limit: "max", or no cgroups
        quota, period = map(int, cgroup_limit.read_text().split())
        return max(1, min(cores or 1, math.ceil(quota / period)))
    return cores or 1


def compute_threads() -> int:
    """Count the threads in which to compute: OMP_NUM_THREADS where it is set, else all cores."""
    with suppress(KeyError, ValueError):
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    return available_cores()
