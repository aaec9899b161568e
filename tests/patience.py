"""Upper bounds on waiting, scaled to the host that runs the tests.

A bound in a test is what two quiet cores need, with plenty to spare. A slower host, a single core
or a busy neighbor gets the same bound times `PATIENCE`, so that no bound depends on the processor.
"""

import os
import subprocess
import sys

from app.cores import available_cores

_VARIABLE = "ATELIER_TEST_PATIENCE"

_LOOP = 3_000_000
_LOOPS = 6
_QUIET_LOOP_S = 0.04
_CORES = 2
_WORKER_NICE = 10


def _measure() -> float:
    """Return how many times slower than two quiet cores this host is now, at least 1.

    It is measured for processes as the tests start them, and for those of low priority, as workers
    are; on some hosts a busy neighbor slows the latter far more.
    """
    cores = min(available_cores(), _CORES)
    return max(1.0, max(_loop_s(0), _loop_s(_WORKER_NICE)) / _QUIET_LOOP_S * _CORES / cores)


def _loop_s(nice: int) -> float:
    """Time a loop in a session of its own, as services have one: some kernels share by session."""
    timing = (
        f"import os, time; os.nice({nice}); started = time.perf_counter()\n"
        f"for _ in range({_LOOPS}): sum(range({_LOOP}))\n"
        "print(time.perf_counter() - started)"
    )
    found = subprocess.run(
        [sys.executable, "-c", timing], check=True, capture_output=True, start_new_session=True
    )
    return float(found.stdout) / _LOOPS


PATIENCE = float(os.environ.get(_VARIABLE) or _measure())
"""The factor: ATELIER_TEST_PATIENCE, or measured once for a run of tests."""

os.environ[_VARIABLE] = f"{PATIENCE:.2f}"  # for the processes among which pytest divides the tests


def patient(seconds: float = 60.0) -> float:
    """Return an upper bound on waiting for this host, in seconds."""
    return seconds * PATIENCE
