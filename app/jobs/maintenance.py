"""Periodic maintenance of the job table and its files. Several processes may run it at once."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import delete, select, update

from app.jobs.cleanup import note_lost
from app.jobs.db.database import Database
from app.jobs.db.tables import job, rate_limiter
from app.jobs.model import folder_of
from app.jobs.queue import JobQueue
from app.jobs.service_time import ServiceTime, UnchangedFor
from app.jobs.storage.base import FileStorage
from app.jobs.storage.spool import Spool

log = structlog.stdlib.get_logger(__name__)

_BATCH = 500  # rows changed in one transaction
_BATCHES = 20  # of them in one tick
_LONGEST_BETWEEN_SWEEPS_S = 3600.0
_OWNER = "database-id"
_FOLDER = "jobs"  # the folder of all jobs' files


@dataclass(frozen=True)
class Retention:
    """Retention times of jobs, of their files, and of files without a job.

    If an owner has more than `finished_per_owner` finished jobs, the oldest are removed earlier.
    """

    files_s: float
    job_s: float
    orphan_s: float
    finished_per_owner: int

    @property
    def longest_pause_s(self) -> float:
        """The longest part of a service pause that counts, in seconds."""
        return max(60.0, min(86_400.0, self.files_s / 10))


class Maintenance:
    """Maintenance: it releases jobs whose lease has lapsed, and removes old jobs and files.

    Age is measured in service time, so that a wrong clock removes nothing.
    """

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        storage: FileStorage,
        spool: Spool,
        retention: Retention,
    ) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage
        self._spool = spool
        self._retention = retention
        self._time = ServiceTime(database, retention.longest_pause_s)
        self._between_s = min(_LONGEST_BETWEEN_SWEEPS_S, retention.orphan_s)
        self._swept_at = -math.inf
        self._growing: set[str] = set()  # owners to check for too many finished jobs
        self._orphans = UnchangedFor[str](self._between_s / 2)

    def tick(self) -> None:
        """Do the maintenance that is due.

        Raises:
            StoreUnavailableError: the database does not answer.
            OSError: a file cannot be removed.
        """
        self._spool.sweep()
        note_lost(self._queue.reap(), self._storage)
        now = self._time.now()
        _in_batches(partial(self._note_ended, now))
        _in_batches(partial(self._expire_files, now - self._retention.files_s))
        _in_batches(partial(self._forget_jobs, now - self._retention.job_s))
        self._forget_surplus()
        self._forget_counts()
        if time.monotonic() - self._swept_at >= self._between_s:
            self._swept_at = time.monotonic()
            self._growing |= self._owners()
            self._sweep()

    def _note_ended(self, now: float) -> int:
        """Start to measure the age of jobs that have ended."""
        is_new = ~job.c.expired & job.c.kept_since.is_(None) & job.c.finished_at.is_not(None)
        mine = select(job.c.number).where(is_new).limit(_BATCH).with_for_update(skip_locked=True)
        statement = update(job).where(job.c.number.in_(mine)).values(kept_since=now)
        with self._database.write() as connection:
            owners = connection.execute(statement.returning(job.c.owner)).scalars().all()
        self._growing.update(owners)
        return len(owners)

    def _expire_files(self, latest: float) -> int:
        """Remove the files of old finished jobs; the jobs themselves are kept longer."""
        old = select(job.c.number).where(~job.c.expired, job.c.kept_since <= latest)
        mine = old.order_by(job.c.kept_since).limit(_BATCH)
        statement = (
            update(job)
            .where(job.c.number.in_(mine.with_for_update(skip_locked=True)))
            .values(
                expired=True,
                inputs={},
                checkpoints=[],
                preview=None,
                result=None,
                painting=None,
                extras=None,
                stored_bytes=0,
                version=job.c.version + 1,
            )
        )
        with self._database.write() as connection:
            ids = connection.execute(statement.returning(job.c.id)).scalars().all()
        for job_id in ids:
            self._storage.keep_only(folder_of(job_id), set())
        return len(ids)

    def _forget_jobs(self, latest: float) -> int:
        old = select(job.c.number).where(job.c.expired, job.c.kept_since <= latest)
        mine = old.order_by(job.c.kept_since).limit(_BATCH).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            return connection.execute(delete(job).where(job.c.number.in_(mine))).rowcount

    def _forget_surplus(self) -> None:
        """Remove the oldest finished jobs of owners who have too many, with their files."""
        for owner in sorted(self._growing):
            if _in_batches(partial(self._forget_oldest, owner)):
                self._growing.discard(owner)

    def _forget_oldest(self, owner: str) -> int:
        has_ended = (job.c.owner == owner) & job.c.kept_since.is_not(None)
        newest_first = select(job.c.number).where(has_ended).order_by(job.c.number.desc())
        surplus = newest_first.offset(self._retention.finished_per_owner).limit(_BATCH)
        mine = select(job.c.number).where(job.c.number.in_(surplus))
        statement = delete(job).where(job.c.number.in_(mine.with_for_update(skip_locked=True)))
        with self._database.write() as connection:
            ids = connection.execute(statement.returning(job.c.id)).scalars().all()
        for job_id in ids:
            self._storage.keep_only(folder_of(job_id), set())
        return len(ids)

    def _owners(self) -> set[str]:
        with self._database.read() as connection:
            return set(connection.execute(select(job.c.owner).distinct()).scalars())

    def _forget_counts(self) -> None:
        """Remove expired counts of rate limits."""
        over = select(rate_limiter.c.key).where(rate_limiter.c.ends_at < self._database.now())
        mine = over.with_for_update(skip_locked=True)
        with self._database.write() as connection:
            connection.execute(delete(rate_limiter).where(rate_limiter.c.key.in_(mine)))

    def _is_owner(self) -> bool:
        """Return whether the files belong to the jobs of this database, not of another.

        The first database that uses the storage marks it as its own; existing files must then
        belong to one of its jobs.
        """
        mine = self._database.identity()
        try:
            owner = self._storage.get(_OWNER).decode()
        except FileNotFoundError:
            found = set(self._storage.older_than(_FOLDER, 0))
            if found and not found & self._named():
                owner = "unknown"
            else:
                owner = self._storage.get(self._storage.put(_OWNER, mine.encode())).decode()
        if owner != mine:
            log.warning(
                "files without a job are kept: they belong to another database. "
                "If that database no longer exists, delete its files and its marker file",
                folder=_FOLDER,
                file=_OWNER,
            )
        return owner == mine

    def _sweep(self) -> None:
        """Remove old files without a job: those of failed attempts and interrupted requests.

        A file is removed when it is found for the second time.
        """
        if not self._is_owner():
            return
        count = self._storage.sweep(_FOLDER, self._retention.orphan_s, self._lasting_orphans)
        if count:
            log.info("files without a job removed", count=count)

    def _lasting_orphans(self, old: set[str]) -> set[str]:
        return self._orphans.among(old - self._named() if old else set())

    def _named(self) -> set[str]:
        """Return the keys of all files that jobs have; no file changes its job meanwhile."""
        keys: set[str] = set()
        last = 0
        while rows := self._naming(last):
            for row in rows:
                named = (*row.inputs.values(), *(row.extras or {}).values(), *row.checkpoints)
                single = (row.preview, row.result, row.painting)
                keys.update(named, (key for key in single if key))
            last = rows[-1].number
        return keys

    def _naming(self, last: int) -> Sequence[Any]:
        """Return the next batch of jobs that may have files."""
        maps, single = (job.c.inputs, job.c.extras), (job.c.preview, job.c.result, job.c.painting)
        columns = (job.c.number, *maps, job.c.checkpoints, *single)
        more = select(*columns).where(job.c.number > last, ~job.c.expired)
        with self._database.read() as connection:
            return connection.execute(more.order_by(job.c.number).limit(_BATCH)).all()


def _in_batches(remove: Callable[[], int]) -> bool:
    """Remove in short transactions; return whether all is removed, or the rest is for later."""
    return any(remove() < _BATCH for _ in range(_BATCHES))
