"""The job queue for workers: claim a job, renew its lease, report on it, and end it.

A worker holds a claimed job by a lease that it must renew. For any process, the lease lapses when
the process has seen no renewal for `lease_s`; this needs neither a correct nor a shared clock.
Every later write names the attempt of the claim. Once the job has been claimed again or has ended,
the writes of the former holder raise `ReplacedError` and change nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select, update

from app.jobs.db.database import Database
from app.jobs.db.tables import job, to_job
from app.jobs.errors import ReplacedError
from app.jobs.model import Fault, Job, JobStatus, Progress
from app.jobs.scheduling import in_claim_order, note_served
from app.jobs.service_time import UnchangedFor
from app.jobs.transitions import IS_QUEUED, IS_RUNNING, WAITING, change, ended, is_past

MAX_CRASHES = 3
MAX_RETRIES = 3
_SLOWEST = 12

_Held = tuple[int, int, float]
"""A lease: the number of the job, the attempt, and the end set by the last renewal."""


@dataclass(frozen=True)
class Outcome:
    """The keys of a finished job's files, and their total size."""

    result: str
    preview: str | None = None
    painting: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    stored_bytes: int = 0


class JobQueue:
    """The queue.

    Every method is one transaction and raises `StoreUnavailableError`, as the store does.
    """

    def __init__(self, database: Database, lease_s: float, retry_s: float) -> None:
        """Use a database.

        Args:
            database: the job database.
            lease_s: seconds for which a job stays with a worker without a heartbeat.
            retry_s: seconds until the first retry after a temporary error; the wait doubles each
                time.
        """
        self._database = database
        self._lease_s = lease_s
        self._retry_s = retry_s
        self._unrenewed = UnchangedFor[_Held](lease_s)

    def has_work(self) -> bool:
        """Return whether `reap` or `claim` would find a job. This is cheaper than either."""
        waits = select(exists().where(IS_QUEUED, self._is_due()))
        with self._database.read() as connection:
            return bool(connection.execute(waits).scalar() or self._lapsed(connection))

    def claim(self, worker: str) -> Job | None:
        """Claim the next job, unless there is none or another worker was faster."""
        now, is_due = self._database.now(), self._is_due()
        with self._database.write() as connection:
            first = in_claim_order(is_due).limit(1).scalar_subquery()
            claimed = change(
                connection,
                (job.c.number == first) & IS_QUEUED & is_due,
                status=JobStatus.RUNNING,
                attempt=job.c.attempt + 1,
                claimed_at=now,
                started_at=_first_time(now),
                lease_owner=worker,
                lease_until=now + self._lease_s,
            )
            for each in claimed:
                note_served(self._database, connection, each)
        return claimed[0] if claimed else None

    def replace_announcement(self, named: str, claimed: Job) -> None:
        """Announce a job again whose message was used to claim another job."""
        other = job.alias()
        had_none = exists().where(other.c.id == claimed.id, other.c.announce_at.is_not(None))
        is_named = (job.c.id == named) & job.c.announce_at.is_(None)
        with self._database.write() as connection:
            connection.execute(
                update(job).where(is_named, IS_QUEUED, had_none).values(announce_at=0)
            )

    def reap(self) -> list[Job]:
        """Release the jobs whose lease has lapsed, and return them."""
        with self._database.read() as connection:
            lapsed = self._lapsed(connection)
        if not lapsed:
            return []
        return self._lose(or_(*(and_(*_lease_is(held)) for held in sorted(lapsed))))

    def release(self, workers: str, *, crashed: bool = True) -> list[Job]:
        """Release the jobs of workers that are known to have ended.

        These are the workers whose names begin with `workers`.
        """
        is_theirs = job.c.lease_owner.startswith(workers, autoescape=True)
        return self._lose(is_theirs, crashed=crashed)

    def held(self, job_id: str) -> Job | None:
        """Return a job if a worker holds it, otherwise None."""
        with self._database.read() as connection:
            row = connection.execute(
                select(job).where(job.c.id == job_id, IS_RUNNING)
            ).one_or_none()
        return to_job(row) if row else None

    def renew(self, mine: Job) -> Job:
        """Renew the lease of a job; clients see no change."""
        return self._quietly(mine, lease_until=self._database.now() + self._lease_s)

    def report(
        self, mine: Job, progress: Progress, eta_s: float | None, preview: str | None
    ) -> Job:
        """Report the progress of a job. The returned job has the requests of clients."""
        shown = {"preview": preview} if preview else {}
        return self._write(mine, **_shown(progress), eta_s=eta_s, **shown)

    def keep(self, mine: Job, checkpoint: str, before: str | None) -> Job:
        """Record a new checkpoint and the one to fall back on, and forget earlier crashes.

        Clients see no change.
        """
        kept = [key for key in (checkpoint, before) if key]
        return self._quietly(mine, checkpoints=kept, crashes=0)

    def give_back(self, mine: Job) -> Job:
        """Put the job back, because this worker has to stop."""
        return self._settle(mine, **WAITING)

    def retry(self, mine: Job, fault: Fault) -> Job:
        """Put the job back for a retry after a wait; fail it after `MAX_RETRIES` retries."""
        if mine.failures >= MAX_RETRIES:
            return self.fail(mine, fault)
        wait_s = self._retry_s * 2**mine.failures
        return self._settle(
            mine,
            **WAITING,
            failures=mine.failures + 1,
            run_after=self._database.now() + wait_s,
        )

    def wait(self, mine: Job) -> Job:
        """Put the job back, with growing waits and no limit: the job is not at fault."""
        later = self._database.now() + self._retry_s * min(mine.attempt, _SLOWEST)
        return self._settle(mine, **WAITING, run_after=later)

    def finish(self, mine: Job, progress: Progress, outcome: Outcome) -> Job:
        """End the job with its result, unless it was canceled before.

        The inputs are kept only if there is a painting to continue.
        """
        now = self._database.now()
        kept = {**_shown(progress), **asdict(outcome)}
        if outcome.painting:
            kept["stored_bytes"] += func.coalesce(job.c.stored_bytes, 0)
        else:
            kept["inputs"] = {}
        return self._settle(mine, **ended(JobStatus.SUCCEEDED, now, **kept))

    def cancel(self, mine: Job) -> Job:
        """End the job as canceled."""
        return self._write(mine, **ended(JobStatus.CANCELLED, self._database.now()))

    def fail(self, mine: Job, fault: Fault, painting: str | None = None) -> Job:
        """End the job with an error; keep the inputs if there is a painting to continue."""
        kept: dict[str, Any] = {}
        if painting is not None:
            columns = (job.c.inputs, job.c.stored_bytes)
            kept = {"painting": painting, **{each.name: each for each in columns}}
        now = self._database.now()
        return self._write(mine, **ended(JobStatus.FAILED, now, error=asdict(fault), **kept))

    def _is_due(self) -> ColumnElement[bool]:
        return is_past(job.c.run_after, self._database.now())

    def _lapsed(self, connection: Connection) -> set[_Held]:
        """Return the leases that have not been renewed for too long."""
        columns = (job.c.number, job.c.attempt, job.c.lease_until)
        rows = connection.execute(select(*columns).where(IS_RUNNING)).all()
        return self._unrenewed.among((number, attempt, until) for number, attempt, until in rows)

    def _write(self, mine: Job, **values: Any) -> Job:
        with self._database.write() as connection:
            return _only(change(connection, _is_held(mine), **values), mine)

    def _quietly(self, mine: Job, **values: Any) -> Job:
        """Change columns that clients do not see, without a new version."""
        statement = update(job).where(_is_held(mine)).values(values).returning(job)
        with self._database.write() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise _replaced(mine)
        return to_job(row)

    def _settle(self, mine: Job, **values: Any) -> Job:
        """End or put back the job, or end it as canceled if that was requested before."""
        cancelled = ended(JobStatus.CANCELLED, self._database.now())
        with self._database.write() as connection:
            held = _is_held(mine)
            settled = change(connection, held & ~job.c.cancel_requested, **values)
            return _only(settled or change(connection, held, **cancelled), mine)

    def _lose(self, is_lost: ColumnElement[bool], *, crashed: bool = True) -> list[Job]:
        now = self._database.now()
        crashes = job.c.crashes + int(crashed)
        found = select(job.c.number).where(IS_RUNNING, is_lost).order_by(job.c.number)
        with self._database.write() as connection:
            held = connection.execute(found.with_for_update()).scalars().all()
            if not held:
                return []
            lost = IS_RUNNING & job.c.number.in_(held)
            return [
                *change(
                    connection, lost & job.c.cancel_requested, **ended(JobStatus.CANCELLED, now)
                ),
                *change(
                    connection,
                    lost & (crashes >= MAX_CRASHES),
                    **ended(JobStatus.FAILED, now, crashes=MAX_CRASHES, error=asdict(_CRASHED)),
                ),
                *change(connection, lost, **WAITING, crashes=crashes),
            ]


_CRASHED = Fault(
    "worker_crashed",
    f"the worker ended {MAX_CRASHES} times without getting further; "
    "try a smaller size or fewer images",
)


def _lease_is(held: _Held) -> tuple[ColumnElement[bool], ...]:
    number, attempt, until = held
    return (job.c.number == number, job.c.attempt == attempt, job.c.lease_until == until)


def _is_held(mine: Job) -> ColumnElement[bool]:
    return (job.c.id == mine.id) & (job.c.attempt == mine.attempt) & IS_RUNNING


def _shown(progress: Progress) -> dict[str, Any]:
    """Return the columns of the progress; its step never falls, even after a crash."""
    further = job.c.step > progress.step
    return {**asdict(progress), "step": case((further, job.c.step), else_=progress.step)}


def _first_time(now: ColumnElement[float]) -> ColumnElement[float]:
    return func.coalesce(job.c.started_at, now)


def _only(changed: list[Job], mine: Job) -> Job:
    if not changed:
        raise _replaced(mine)
    return changed[0]


def _replaced(mine: Job) -> ReplacedError:
    return ReplacedError(f"attempt {mine.attempt} of job {mine.id} is no longer running")
