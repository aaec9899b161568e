"""What has to be done now and then, by any process, several at a time if need be."""

import time
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, select, update

from app.jobs.blobs import Blobs
from app.jobs.changes import IS_QUEUED, IS_RUNNING
from app.jobs.database import Database
from app.jobs.job import folder_of
from app.jobs.leases import Leases
from app.jobs.leavings import note_lost
from app.jobs.spool import Spool
from app.jobs.tables import allowance, job

log = structlog.stdlib.get_logger(__name__)

_LIVE = IS_QUEUED | IS_RUNNING
_LONGEST_BETWEEN_SWEEPS_S = 3600.0
_OWNER = "database-id"
_FOLDER = "jobs"  # where the files of all jobs are


@dataclass(frozen=True)
class Retention:
    """How long things are kept after their job has ended, or were never part of one."""

    files_s: float
    job_s: float
    orphan_s: float


class Maintenance:
    """Takes lapsed jobs from their workers, and removes what nobody needs any longer."""

    def __init__(
        self,
        database: Database,
        leases: Leases,
        blobs: Blobs,
        spool: Spool,
        retention: Retention,
    ) -> None:
        self._database = database
        self._leases = leases
        self._blobs = blobs
        self._spool = spool
        self._retention = retention
        self._swept_at = -_LONGEST_BETWEEN_SWEEPS_S

    def tick(self) -> None:
        """Do what is due.

        Raises:
            StoreUnavailableError: the database does not answer.
            OSError: a file cannot be removed.
        """
        self._spool.sweep()
        note_lost(self._leases.reap(), self._blobs)
        self._expire_files()
        self._forget_jobs()
        self._forget_counts()
        between_s = min(_LONGEST_BETWEEN_SWEEPS_S, self._retention.orphan_s)
        if time.monotonic() - self._swept_at >= between_s:
            self._swept_at = time.monotonic()
            self._sweep()

    def _expire_files(self) -> None:
        """Remove the files of jobs that ended long ago; the jobs themselves stay known a while."""
        with self._database.write() as connection:
            latest = self._database.now() - self._retention.files_s
            old = select(job.c.number).where(~_LIVE, ~job.c.expired, job.c.finished_at < latest)
            mine = old.with_for_update(skip_locked=True)  # others may do the same just now
            statement = (
                update(job)
                .where(job.c.number.in_(mine))
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
            ids = connection.execute(statement.returning(job.c.id)).scalars().all()
        for job_id in ids:
            self._blobs.keep_only(folder_of(job_id), set())

    def _forget_jobs(self) -> None:
        with self._database.write() as connection:
            latest = self._database.now() - self._retention.job_s
            old = select(job.c.number).where(job.c.expired, job.c.finished_at < latest)
            mine = old.with_for_update(skip_locked=True)
            connection.execute(delete(job).where(job.c.number.in_(mine)))

    def _forget_counts(self) -> None:
        """Remove what callers had used in minutes that are over."""
        over = select(allowance.c.key).where(allowance.c.ends_at < self._database.now())
        mine = over.with_for_update(skip_locked=True)
        with self._database.write() as connection:
            connection.execute(delete(allowance).where(allowance.c.key.in_(mine)))

    def _is_owner(self) -> bool:
        """Whether the files belong to the jobs of this database, and not to those of another.

        The first database to see them marks them as its own; files that are there already must be
        named by one of its jobs.
        """
        mine = self._database.identity()
        try:
            owner = self._blobs.get(_OWNER).decode()
        except FileNotFoundError:
            found = set(self._blobs.older_than(_FOLDER, 0))
            if found and not found & self._named():
                owner = "unknown"
            else:
                owner = self._blobs.get(self._blobs.put(_OWNER, mine.encode())).decode()
        if owner != mine:
            log.warning(
                "files of no job are left alone: they belong to another database. "
                "If that is gone for good, delete its files, and the one that names it",
                folder=_FOLDER,
                file=_OWNER,
            )
        return owner == mine

    def _sweep(self) -> None:
        """Remove old files that no job names: of requests that broke off, of attempts that died."""
        if not self._is_owner():
            return
        count = self._blobs.sweep(_FOLDER, self._retention.orphan_s, self._named)
        if count:
            log.info("files of no job removed", count=count)

    def _named(self) -> set[str]:
        """Keys of all files that jobs have."""
        maps, single = (job.c.inputs, job.c.extras), (job.c.preview, job.c.result, job.c.painting)
        with self._database.read() as connection:
            rows = connection.execute(select(*maps, job.c.checkpoints, *single)).all()
        return {
            key
            for inputs, extras, checkpoints, *rest in rows
            for key in (*inputs.values(), *(extras or {}).values(), *checkpoints, *rest)
        }
