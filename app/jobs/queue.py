"""The job table as workers see it: claim a job, keep it, report on it, let go of it.

A claimed job is held by a lease that must be renewed. It lapses for a process that has watched it
for `lease_s` without a renewal; that needs no clock that anybody can set, nor one that hosts share.
Every later write names the attempt that the claim began; once the job has been claimed again, or
has ended, the former holder's writes raise `ReplacedError` and change nothing.
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
"""A lease: the number of its job, the attempt, and the end that the last renewal has set."""


@dataclass(frozen=True)
class Outcome:
    """Keys of the files that a finished job has, and how many bytes they are together."""

    result: str
    preview: str | None = None
    painting: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    stored_bytes: int = 0


class JobQueue:
    """Every method is one transaction, and raises `StoreUnavailableError` as the store does."""

    def __init__(self, database: Database, lease_s: float, retry_s: float) -> None:
        """Use a database.

        Args:
            database: where the jobs are.
            lease_s: how long a job stays a worker's without a sign of life; also how long this
                process watches a lease before it takes the job away.
            retry_s: how long a job waits after its first error that may pass; then twice that,
                and so on.
        """
        self._database = database
        self._lease_s = lease_s
        self._retry_s = retry_s
        self._unrenewed = UnchangedFor[_Held](lease_s)

    def has_work(self) -> bool:
        """Return whether `reap` or `claim` would find something; cheaper than either."""
        waits = select(exists().where(IS_QUEUED, self._is_due()))
        with self._database.read() as connection:
            return bool(connection.execute(waits).scalar() or self._lapsed(connection))

    def claim(self, worker: str) -> Job | None:
        """Take the job whose turn it is, if there is one and no other worker was faster."""
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
        """Have a job announced again whose announcement served for one that had none itself."""
        other = job.alias()
        had_none = exists().where(other.c.id == claimed.id, other.c.announce_at.is_not(None))
        is_named = (job.c.id == named) & job.c.announce_at.is_(None)
        with self._database.write() as connection:
            connection.execute(
                update(job).where(is_named, IS_QUEUED, had_none).values(announce_at=0)
            )

    def reap(self) -> list[Job]:
        """Take the jobs whose lease has lapsed from their workers; returns what became of them."""
        with self._database.read() as connection:
            lapsed = self._lapsed(connection)
        if not lapsed:
            return []
        return self._lose(or_(*(and_(*_lease_is(held)) for held in sorted(lapsed))))

    def release(self, workers: str, *, crashed: bool = True) -> list[Job]:
        """Take the jobs of workers that are known to have ended, at once.

        They are those whose names begin as given.
        """
        is_theirs = job.c.lease_owner.startswith(workers, autoescape=True)
        return self._lose(is_theirs, crashed=crashed)

    def held(self, job_id: str) -> Job | None:
        """Look at a job that a worker holds; None where none does."""
        with self._database.read() as connection:
            row = connection.execute(
                select(job).where(job.c.id == job_id, IS_RUNNING)
            ).one_or_none()
        return to_job(row) if row else None

    def renew(self, mine: Job) -> Job:
        """Keep a job for another lease; clients see no change."""
        return self._quietly(mine, lease_until=self._database.now() + self._lease_s)

    def report(
        self, mine: Job, progress: Progress, eta_s: float | None, preview: str | None
    ) -> Job:
        """Show how far the job has come; the answer tells what clients have asked for."""
        shown = {"preview": preview} if preview else {}
        return self._write(mine, **_shown(progress), eta_s=eta_s, **shown)

    def keep(self, mine: Job, checkpoint: str, before: str | None) -> Job:
        """Record a new checkpoint and the one to fall back on, and forget earlier crashes.

        Clients see no change.
        """
        kept = [key for key in (checkpoint, before) if key]
        return self._quietly(mine, checkpoints=kept, crashes=0)

    def give_back(self, mine: Job) -> Job:
        """Let another worker go on: this one has to stop."""
        return self._settle(mine, **WAITING)

    def retry(self, mine: Job, fault: Fault) -> Job:
        """Let it be tried again after a while, `MAX_RETRIES` times; then fail it."""
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
        """Let it be tried again, ever more rarely, as often as need be: it is not its fault."""
        later = self._database.now() + self._retry_s * min(mine.attempt, _SLOWEST)
        return self._settle(mine, **WAITING, run_after=later)

    def finish(self, mine: Job, progress: Progress, outcome: Outcome) -> Job:
        """End the job with its result, unless its cancel was asked for before.

        The inputs are kept only where there is a painting to go on with.
        """
        now = self._database.now()
        kept = {**_shown(progress), **asdict(outcome)}
        if outcome.painting:
            kept["stored_bytes"] += func.coalesce(job.c.stored_bytes, 0)
        else:
            kept["inputs"] = {}
        return self._settle(mine, **ended(JobStatus.SUCCEEDED, now, **kept))

    def cancel(self, mine: Job) -> Job:
        """End the job as its owner asked."""
        return self._write(mine, **ended(JobStatus.CANCELLED, self._database.now()))

    def fail(self, mine: Job, fault: Fault, painting: str | None = None) -> Job:
        """End the job with an error; where there is a painting to go on with, keep the inputs."""
        kept: dict[str, Any] = {}
        if painting is not None:
            columns = (job.c.inputs, job.c.stored_bytes)
            kept = {"painting": painting, **{each.name: each for each in columns}}
        now = self._database.now()
        return self._write(mine, **ended(JobStatus.FAILED, now, error=asdict(fault), **kept))

    def _is_due(self) -> ColumnElement[bool]:
        return is_past(job.c.run_after, self._database.now())

    def _lapsed(self, connection: Connection) -> set[_Held]:
        """Look at all leases; return those that have not been renewed for too long."""
        columns = (job.c.number, job.c.attempt, job.c.lease_until)
        rows = connection.execute(select(*columns).where(IS_RUNNING)).all()
        return self._unrenewed.among((number, attempt, until) for number, attempt, until in rows)

    def _write(self, mine: Job, **values: Any) -> Job:
        with self._database.write() as connection:
            return _only(change(connection, _is_held(mine), **values), mine)

    def _quietly(self, mine: Job, **values: Any) -> Job:
        """Change what no client sees: the version stays."""
        statement = update(job).where(_is_held(mine)).values(values).returning(job)
        with self._database.write() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise _replaced(mine)
        return to_job(row)

    def _settle(self, mine: Job, **values: Any) -> Job:
        """Let go of the job with these values; as cancelled if that was asked for before."""
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
