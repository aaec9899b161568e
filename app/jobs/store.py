"""The job store for clients: create, show, end and remove jobs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heapreplace

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select

from app.jobs.db.database import Database
from app.jobs.db.tables import identity, job, to_job
from app.jobs.errors import (
    FilesTooLargeError,
    IdempotencyError,
    JobQueueFullError,
    JobStateError,
    QuotaError,
    UnknownJobError,
)
from app.jobs.model import Job, JobKind, JobStatus, NewJob
from app.jobs.scheduling import in_claim_order
from app.jobs.transitions import IS_KNOWN, IS_QUEUED, IS_RUNNING, change, ended
from app.jobs.worker_registry import WorkerRegistry
from app.limits import QueueLimits

_TURN = select(identity.c.id).with_for_update()
"""A row lock that serializes the creation of jobs, which counts before it writes."""

_NEVER = math.inf
"""The end of a job whose duration is unknown."""

_UNFINISHED_WAIT_S = 30.0
"""The time to wait before trying again, if no job has ended yet."""


@dataclass(frozen=True)
class QueuePosition:
    """The place of a waiting job in the queue, from 1, and the seconds until its end."""

    position: int
    eta_s: float | None


class JobStore:
    """The job store. Every method is one transaction.

    All methods raise `StoreUnavailableError` if the database does not answer. Those with an id and
    an owner raise `UnknownJobError` if the owner has no such job.
    """

    def __init__(
        self, database: Database, limits: QueueLimits, worker_registry: WorkerRegistry | None = None
    ) -> None:
        """Use a database. Without a worker registry, one worker is assumed."""
        self._database = database
        self._limits = limits
        self._worker_registry = worker_registry

    def create(self, new: NewJob) -> tuple[Job, bool]:
        """Queue a job and return (job, True), or (the job of its idempotency key, False).

        Raises:
            JobQueueFullError: too many jobs wait.
            QuotaError: the owner's files would exceed the quota.
            FilesTooLargeError: the files of this job alone would exceed it.
            IdempotencyError: the key was used for another request.
        """
        with self._database.write() as connection:
            connection.execute(_TURN)
            before = _made_before(connection, new.owner, new.idempotency_key, new.fingerprint)
            if before is not None:
                return before, False
            self._check_room(connection, new.owner)
            self._check_quota(connection, new.owner, new.stored_bytes)
            now = self._database.now()
            row = connection.execute(
                insert(job)
                .values(**asdict(new), status=JobStatus.QUEUED, created_at=now, run_after=0)
                .returning(job)
            ).one()
            return to_job(row), True

    def made_before(self, owner: str, key: str, fingerprint: str | None) -> Job | None:
        """Return the job that an idempotency key created for the request of this fingerprint.

        Raises:
            IdempotencyError: the key was used for another request.
        """
        with self._database.read() as connection:
            return _made_before(connection, owner, key, fingerprint)

    def knows(self, owner: str, key: str) -> bool:
        """Return whether an idempotency key has created a job."""
        with self._database.read() as connection:
            return bool(connection.execute(select(exists().where(_has_key(owner, key)))).scalar())

    def check_room(self, owner: str) -> None:
        """Check early whether a job would be refused.

        Raises:
            JobQueueFullError: too many jobs wait.
            QuotaError: the owner's files use the whole quota.
        """
        with self._database.read() as connection:
            self._check_room(connection, owner)
            self._check_quota(connection, owner, 1)

    def find(self, job_id: str, owner: str | None = None) -> Job:
        """Return a job; without an owner, of any owner."""
        with self._database.read() as connection:
            return _find(connection, job_id, owner)

    def find_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Return the jobs that exist, of a list of ids."""
        with self._database.read() as connection:
            rows = connection.execute(select(job).where(job.c.id.in_(job_ids), IS_KNOWN)).all()
        return [to_job(row) for row in rows]

    def page(
        self,
        owner: str | None = None,
        *,
        status: JobStatus | None = None,
        kind: JobKind | None = None,
        limit: int,
        before: int | None = None,
    ) -> list[Job]:
        """List jobs, newest first. `before` is the number of the previous page's last job."""
        wanted = {job.c.owner: owner, job.c.status: status, job.c.kind: kind}
        query = select(job).where(IS_KNOWN).order_by(job.c.number.desc()).limit(limit)
        query = query.where(*(column == value for column, value in wanted.items() if value))
        if before is not None:
            query = query.where(job.c.number < before)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [to_job(row) for row in rows]

    def queue_positions(self) -> Mapping[str, QueuePosition]:
        """Estimate the place and the end of every waiting job, by id.

        The estimate assumes that each live worker claims the next job as soon as it is free.
        """
        workers = self._worker_registry.count() if self._worker_registry else 1
        with self._database.read() as connection:
            numbers = connection.execute(in_claim_order()).scalars().all()
            columns = (job.c.number, job.c.id, job.c.estimate_s)
            rows = connection.execute(select(*columns).where(job.c.number.in_(numbers))).all()
            left_s = func.coalesce(job.c.eta_s, job.c.estimate_s)
            etas = connection.execute(select(left_s).where(IS_RUNNING)).scalars().all()
        waiting = {row.number: row for row in rows}
        free_in_s = [_NEVER if eta is None else eta for eta in etas]
        free_in_s += [0.0] * max(workers - len(free_in_s), not free_in_s)
        heapify(free_in_s)
        queue_positions = {}
        for position, number in enumerate(numbers, start=1):
            row = waiting[number]
            ends_in_s = free_in_s[0] + (_NEVER if row.estimate_s is None else row.estimate_s)
            heapreplace(free_in_s, ends_in_s)
            queue_positions[row.id] = QueuePosition(
                position, None if ends_in_s == _NEVER else ends_in_s
            )
        return queue_positions

    def counts(self) -> Mapping[JobStatus, int]:
        """Count the jobs of each status."""
        query = select(job.c.status, func.count()).where(IS_KNOWN).group_by(job.c.status)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found: dict[str, int] = {status: count for status, count in rows}  # noqa: C416
        return {status: found.get(status, 0) for status in JobStatus}

    def longest_wait_s(self) -> float:
        """Return the age of the oldest waiting job in seconds, or 0 if there is none."""
        age_s = self._database.now() - func.min(job.c.created_at)
        with self._database.read() as connection:
            return max(0.0, connection.execute(select(age_s).where(IS_QUEUED)).scalar() or 0.0)

    def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Cancel a job: end a waiting one, and request a running one to end.

        A finished one is unchanged.
        """
        now = self._database.now()
        with self._database.write() as connection:
            _find(connection, job_id, owner, to_change=True)
            mine = job.c.id == job_id
            at_once = ended(JobStatus.CANCELLED, now, cancel_requested=True)
            change(connection, mine & IS_QUEUED, **at_once)
            change(connection, mine & IS_RUNNING & ~job.c.cancel_requested, cancel_requested=True)
            return _find(connection, job_id, owner)

    def finish(self, job_id: str, owner: str | None = None) -> Job:
        """Request a job to finish early, as soon as it has a result.

        Raises:
            JobStateError: the job failed or was canceled.
        """
        with self._database.write() as connection:
            found = _find(connection, job_id, owner, to_change=True)
            if found.status in (JobStatus.FAILED, JobStatus.CANCELLED):
                raise JobStateError(f"The job is {found.status}. There is nothing to finish.")
            mine = (job.c.id == job_id) & ~job.c.finish_requested
            change(connection, mine & (IS_QUEUED | IS_RUNNING), finish_requested=True)
            return _find(connection, job_id, owner)

    def remove(self, job_id: str, owner: str | None = None) -> Job:
        """Remove a finished job from the table; the caller removes its files.

        Raises:
            JobStateError: the job is still waiting or running.
        """
        with self._database.write() as connection:
            found = _find(connection, job_id, owner, to_change=True)
            if not found.status.is_terminal:
                raise JobStateError(f"The job is {found.status}. Cancel it first.")
            connection.execute(delete(job).where(job.c.id == job_id))
            return found

    def _check_room(self, connection: Connection, owner: str) -> None:
        waiting = select(func.count()).where(IS_QUEUED)
        in_all = connection.execute(waiting).scalar_one()
        if in_all >= self._limits.in_all:
            raise JobQueueFullError(
                f"{in_all} jobs are waiting, which is the limit. Try again later."
            )
        own = connection.execute(waiting.where(job.c.owner == owner)).scalar_one()
        if own >= self._limits.per_owner:
            raise JobQueueFullError(
                f"{own} of your jobs are waiting, which is the limit. Try again when some have "
                f"finished."
            )

    def _check_quota(self, connection: Connection, owner: str, more_bytes: int) -> None:
        most = self._limits.bytes_per_owner
        if most is None:
            return
        if more_bytes > most:
            raise FilesTooLargeError(
                f"the files of all your jobs may take {most:,} bytes; send smaller ones"
            )
        kept = (job.c.owner == owner) & (job.c.stored_bytes > 0)
        total = func.coalesce(func.sum(job.c.stored_bytes), 0)
        oldest_age_s = self._database.now() - func.min(job.c.finished_at)
        stored, age_s = connection.execute(select(total, oldest_age_s).where(kept)).one()
        if stored + more_bytes > most:
            wait_s = _UNFINISHED_WAIT_S if age_s is None else self._limits.kept_s - age_s
            raise QuotaError(
                f"the files of your jobs take {stored:,} of {most:,} bytes; delete finished jobs, "
                "or wait until they expire",
                max(1, math.ceil(wait_s)),
            )


def _made_before(
    connection: Connection, owner: str, key: str | None, fingerprint: str | None
) -> Job | None:
    if key is None:
        return None
    row = connection.execute(select(job).where(_has_key(owner, key))).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise IdempotencyError("This Idempotency-Key was used for another request. Use a new one.")
    return to_job(row)


def _has_key(owner: str, key: str) -> ColumnElement[bool]:
    return (job.c.owner == owner) & (job.c.idempotency_key == key)


def _find(
    connection: Connection, job_id: str, owner: str | None, *, to_change: bool = False
) -> Job:
    query = select(job).where(job.c.id == job_id, IS_KNOWN)
    if to_change:
        query = query.with_for_update()
    if owner is not None:
        query = query.where(job.c.owner == owner)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownJobError(f"there is no job {job_id!r}")
    return to_job(row)
