import os
from pathlib import Path

import pytest

from app.cores import available_cores, compute_threads


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("150000 100000", 2), ("10000 100000", 1), ("max 100000", None), ("", None)],
)
def test_cores_are_limited_by_the_container(limit: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    allowed = len(os.sched_getaffinity(0))
    assert available_cores(tmp_path / "cpu.max") == min(allowed, cores or allowed)


def test_cores_come_from_the_affinity_without_a_container(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(tmp_path / "none") == 1
    finally:
        os.sched_setaffinity(0, before)


def test_omp_num_threads_sets_the_compute_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert compute_threads() == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert compute_threads() == available_cores()
