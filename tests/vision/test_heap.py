import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from app.vision.heap import release_free_memory, retain_freed_memory

def step():
    kept = [torch.ones(size << 20, dtype=torch.uint8) for size in (25, 25, 6, 12, 12, 3)]
    while kept:
        torch.ones(len(kept.pop()), dtype=torch.uint8)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

usual = faults()
before = resident()
retain_freed_memory()
faults()
kept, full = faults(), resident()
release_free_memory()
print(usual, kept, full - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told")
def test_freed_memory_is_retained_until_it_is_released() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], check=True, capture_output=True, text=True)
    usual_faults, faults, kept_bytes, left_bytes = map(int, done.stdout.split())
    assert faults < usual_faults / 4
    assert left_bytes < kept_bytes / 4
