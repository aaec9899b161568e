"""Number of processor cores and compute threads of this process."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available_cores(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Return the cores of the CPU affinity, or fewer if the container has a lower CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):  # no limit ("max"), or no cgroups
        quota, period = map(int, cgroup_limit.read_text().split())
        return max(1, min(cores or 1, math.ceil(quota / period)))
    return cores or 1


def compute_threads() -> int:
    """Return the number of compute threads: OMP_NUM_THREADS if set, else all cores."""
    with suppress(KeyError, ValueError):
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    return available_cores()
