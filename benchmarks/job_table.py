"""Reads and claims on a job table with many finished jobs, compared with an empty one.

    python -m benchmarks.job_table [--rows 300000] [--rounds 200]

Makes two SQLite databases, fills one with finished jobs of one caller, and does the same things to
both in turns: another caller lists, submits and looks at jobs, and a worker claims and ends them.
Prints the median of each in both, in milliseconds, and the ratio (bar: 1.5).
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.jobs.db.database import Database
from app.jobs.model import JobKind, JobStatus, Progress
from app.jobs.queue import JobQueue, Outcome
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.jobs.orders import fill, order

BAR = 1.5
_LIMITS = QueueLimits(in_all=100, per_owner=20, bytes_per_owner=10**10, kept_s=604_800)
_KEPT = 20  # finished jobs of the caller who reads

T = TypeVar("T")
Times = defaultdict[str, list[float]]


class Table:
    """A job table and what has been measured on it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(f"sqlite:///{path}", timeout_s=60)
        self.database.migrate()
        self.times: Times = defaultdict(list)
        self._store = JobStore(self.database, _LIMITS)
        self._queue = JobQueue(self.database, lease_s=30, retry_s=10)

    def measure(self) -> None:
        """Take one job from its submission to its end, and read on the way."""
        store, queue = self._store, self._queue
        self._take("has_work, nothing waits", queue.has_work)
        self._take("check_room", lambda: store.check_room("bob"))
        made, _ = self._take("create", lambda: store.create(order("bob")))
        store.create(order("ann"))
        self._take("page", lambda: store.page("bob", limit=51))
        self._take("page of a kind", lambda: store.page("bob", kind=JobKind.STYLIZE, limit=51))
        self._take("page of a status", lambda: store.page("bob", status=JobStatus.QUEUED, limit=51))
        self._take("find", lambda: store.find(made.id, "bob"))
        self._take("outlooks", store.queue_positions)
        self._take("has_work", queue.has_work)
        claimed = self._take("claim", lambda: queue.claim("w"))
        other = queue.claim("w")
        assert claimed is not None
        assert other is not None
        self._take("finish", lambda: queue.finish(claimed, Progress(9, 9), Outcome("r")))
        queue.finish(other, Progress(9, 9), Outcome("r"))
        for job in store.page("bob", limit=200)[_KEPT:]:
            store.remove(job.id)

    def _take(self, name: str, act: Callable[[], T]) -> T:
        started = time.perf_counter()
        found = act()
        self.times[name].append((time.perf_counter() - started) * 1000)
        return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty, full = (Table(Path(folder, name)) for name in ("empty.db", "full.db"))
        fill(full.database, "ann", args.rows)
        for _ in range(args.rounds):
            empty.measure()
            full.measure()
        for name, few in empty.times.items():
            before_ms, after_ms = statistics.median(few), statistics.median(full.times[name])
            print(
                f"{name:24} empty {before_ms:7.2f} ms; {args.rows:,} rows {after_ms:7.2f} ms; "
                f"{after_ms / before_ms:5.2f}x (bar {BAR}x)"
            )
        for table in (empty, full):
            table.database.close()


if __name__ == "__main__":
    main()
