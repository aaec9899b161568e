"""Upper bounds on waiting, scaled to the host that runs the tests.

A bound in a test is what two quiet cores need, with plenty to spare. A slower host, a single core
or a busy neighbor gets the same bound times `PATIENCE`, so that no bound depends on the processor.
"""

import os
import time

_VARIABLE = "ATELIER_TEST_PATIENCE"

_LOOP = 3_000_000
_LOOPS = 6
_QUIET_LOOP_S = 0.04
_CORES = 2


def _measure() -> float:
    """Return how many times slower than two quiet cores this host is now, at least 1."""
    started = time.perf_counter()
    for _ in range(_LOOPS):
        sum(range(_LOOP))
    loop_s = (time.perf_counter() - started) / _LOOPS
    cores = len(os.sched_getaffinity(0))
    return max(1.0, loop_s / _QUIET_LOOP_S * _CORES / min(cores, _CORES))


PATIENCE = float(os.environ.get(_VARIABLE) or _measure())
"""The factor: ATELIER_TEST_PATIENCE, or measured once for a run of tests."""

os.environ[_VARIABLE] = f"{PATIENCE:.2f}"  # for the processes among which pytest divides the tests


def patient(seconds: float = 60.0) -> float:
    """Return an upper bound on waiting for this host, in seconds."""
    return seconds * PATIENCE
