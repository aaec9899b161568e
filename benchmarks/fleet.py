"""The cost of a broker, and the gain from more workers.

    python -m benchmarks.fleet [--evaluations 1000] [--paintings 60] [--workers 1 2 4]

Runs a fleet on this host, with PostgreSQL and each broker in turn, and beside it the same processes
without a broker, whose workers look into the database. For each prints

- the time from submit to claim while a worker is idle, by the database's clock;
- the time from submit to claim, and jobs in an hour, for one-image evaluations of `mnist` and
  paintings of 64 px that were all queued before the workers began, against as many as the host has
  cores would do if they were no hindrance to each other.

Every worker computes in one thread. PostgreSQL, RabbitMQ and Redis have to be installed.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.jobs.db.database import Database
from app.jobs.db.tables import job
from tests.fleet.brokers import KINDS, running_broker
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.postgres import PostgresServer, running_server
from tests.jobs.studio import Studio
from tests.service import MODELS, ROOT, wait_until

_DIGIT = ROOT / "docs/examples/seven.jpg"
_USUAL = {  # as a service has them, and not as its tests
    "report_s": 1,
    "checkpoint_s": 10,
    "lease_s": 30,
    "lease_renew_s": 5,
    "lease_give_up_s": 20,
    "maintenance_s": 10,
    "broker_timeout_s": 5,
    "store_timeout_s": 5,
    "events_poll_s": 0.25,
    "max_queued_jobs": 100_000,
    "max_submissions_per_minute": 1_000_000,
    "max_finished_jobs_per_caller": 1_000_000,
    "max_queued_jobs_per_caller": 100_000,
    "models_dir": MODELS,
}
_IDLE_JOBS = 100
_LONGEST_S = 3600


@dataclass(frozen=True)
class Run:
    """Times of one job, s since 1970."""

    created: float
    claimed: float
    finished: float

    @property
    def waited_s(self) -> float:
        """From submit to claim."""
        return self.claimed - self.created


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--paintings", type=int, default=60)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    args = parser.parse_args()
    work = {"evaluations": args.evaluations, "paintings": args.paintings}
    with running_server() as postgres:
        for kind in (None, *KINDS):
            print(f"{kind or 'no broker'}:")
            idle(postgres, kind)
            for name, count in work.items():
                alone = 0.0
                for workers in args.workers:
                    runs = backlog(postgres, kind, name, count, workers)
                    hourly = per_hour(runs)
                    alone = alone or hourly / workers
                    print(
                        f"  {count} {name}, {workers} workers: submit to claim {summary(runs)}; "
                        f"{3600 / hourly * workers * 1000:.0f} ms a job and worker; "
                        f"{hourly:,.0f} jobs/h, "
                        f"{hourly / alone / min(workers, os.cpu_count() or 1):.0%} of what "
                        "the cores allow"
                    )


def idle(postgres: PostgresServer, kind: str | None) -> None:
    """Submit one evaluation after the other to an idle worker; prints one line."""
    with started(postgres, kind, workers=1) as (fleet, database):
        jobs = fleet.studio()
        for _ in range(_IDLE_JOBS):
            submit(jobs, "evaluations")
            wait_until(lambda: not left(database))
        runs = finished(database)
    took_ms = statistics.median(run.finished - run.claimed for run in runs) * 1000
    print(f"  idle: submit to claim {summary(runs)}; an evaluation takes {took_ms:.0f} ms")


def backlog(
    postgres: PostgresServer, kind: str | None, name: str, count: int, workers: int
) -> Sequence[Run]:
    """Queue jobs, then start the workers; returns those jobs that ended once all worked."""
    with started(postgres, kind, workers=0) as (fleet, database):
        jobs = fleet.studio()
        for _ in range(count):
            submit(jobs, name)
        for _ in range(workers):
            fleet.add_worker()
        all_work_at = time.time()
        wait_until(lambda: not left(database), _LONGEST_S)
        return [run for run in finished(database) if run.claimed >= all_work_at]


@contextmanager
def started(
    postgres: PostgresServer, kind: str | None, workers: int
) -> Iterator[tuple[Fleet, Database]]:
    """Yield a fleet with one web process, and its database."""
    url = postgres.new_database()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_broker(kind) if kind else nullcontext() as broker,
    ):
        carried = {"broker_url": broker.url} if broker else {}
        settings: dict[str, Any] = {**_USUAL, **carried, "database_url": url}
        with running_fleet(Path(folder), webs=1, workers=workers, **settings) as fleet:
            database = Database(url, 5)
            yield fleet, database
            database.close()
    postgres.drop(url)


def submit(jobs: Studio, name: str) -> None:
    """Ask for one evaluation, or for one painting."""
    if name == "paintings":
        jobs.start(quality="preview")
        return
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(_DIGIT, "7/1.jpg")
    headers = {"Content-Type": "application/zip"}
    url = "/evaluate?model=mnist"
    jobs.client.post(url, content=archive.getvalue(), headers=headers).raise_for_status()


def left(database: Database) -> int:
    """Count the jobs that have not ended."""
    with database.read() as connection:
        return len(connection.execute(select(job.c.id).where(job.c.finished_at.is_(None))).all())


def finished(database: Database) -> list[Run]:
    """Return the jobs that ended, all of them well."""
    columns = (job.c.created_at, job.c.claimed_at, job.c.finished_at, job.c.status)
    with database.read() as connection:
        rows = connection.execute(select(*columns).order_by(job.c.finished_at)).all()
    assert {row.status for row in rows} == {"succeeded"}
    return [Run(row.created_at, row.claimed_at, row.finished_at) for row in rows]


def per_hour(runs: Sequence[Run]) -> float:
    """Jobs in an hour, between the first claim and the last end."""
    return len(runs) / (max(run.finished for run in runs) - min(run.claimed for run in runs)) * 3600


def summary(runs: Sequence[Run]) -> str:
    """Median and 99th percentile."""
    waited = sorted(run.waited_s for run in runs)
    unit, factor = ("ms", 1000) if waited[-1] < 10 else ("s", 1)
    p99 = statistics.quantiles(waited, n=100)[-1]
    return f"p50 {statistics.median(waited) * factor:.0f} {unit}, p99 {p99 * factor:.0f} {unit}"


if __name__ == "__main__":
    main()
