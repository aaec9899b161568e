"""Tells a broker which jobs wait; the job table knows of which it has yet to hear.

A job is announced once it is committed, and again when it goes back to the queue. Any number of
processes may do so at one time. The broker may lose, repeat or delay what it was told: an
announcement only says that some job may be claimed, whichever it is whose turn has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement, func, select, update

from app.errors import AtelierError
from app.jobs.db.database import Database
from app.jobs.db.tables import job
from app.jobs.transitions import IS_QUEUED, has_come

log = structlog.stdlib.get_logger(__name__)

_AT_ONCE = 100


class BrokerUnavailableError(AtelierError):
    """The broker does not answer, or does not take what it is told."""


class Broker(Protocol):
    """What carries announcements to workers. Its methods raise `BrokerUnavailableError`."""

    def announce(self, job_id: str, priority: int) -> None:
        """Have some worker look what there is to be done; higher priorities come first."""
        ...

    def waiting(self) -> int:
        """Count the announcements that no worker has received yet."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True)
class _Due:
    number: int
    id: str
    priority: int
    again_at: float


class Announcer:
    """Of one process. All methods raise `StoreUnavailableError` as the store's do."""

    def __init__(self, database: Database, broker: Broker, again_s: float) -> None:
        """Use a database and a broker.

        Args:
            database: where the jobs are.
            broker: what is told of them.
            again_s: after which another process may announce what this one was about to.
        """
        self._database = database
        self._broker = broker
        self._again_s = again_s
        self._missed = False

    def announce(self) -> None:
        """Announce all jobs that are due; while the broker is away, they stay due."""
        while due := self._take():
            told = self._tell(due)
            self._note(told)
            if len(told) < len(due):
                return

    def recover(self) -> None:
        """Have all waiting jobs announced again, if the broker has lost some.

        It has when it knows of fewer than wait, twice in a row: once may be because a worker has
        just received one and not claimed it yet.
        """
        try:
            known = self._broker.waiting()
        except BrokerUnavailableError as error:
            log.warning("the broker does not answer", error=str(error))
            return
        missed, self._missed = self._missed, known < self._count()
        if missed and self._missed:
            self._missed = False
            with self._database.write() as connection:
                connection.execute(update(job).where(self._is_announced()).values(announce_at=0))
            log.warning("the broker has lost jobs; they are announced again")

    def close(self) -> None:
        """Let go of the broker."""
        self._broker.close()

    def _take(self) -> list[_Due]:
        """Reserve some of the due jobs for this process, for a while."""
        now = self._database.now()
        is_due = IS_QUEUED & has_come(job.c.announce_at, now) & has_come(job.c.run_after, now)
        first = select(job.c.number).where(is_due).order_by(job.c.number).limit(_AT_ONCE)
        statement = update(job).where(job.c.number.in_(first), is_due)
        columns = (job.c.number, job.c.id, job.c.priority, job.c.announce_at)
        with self._database.write() as connection:
            taken = connection.execute(
                statement.values(announce_at=now + self._again_s).returning(*columns)
            ).all()
        return [_Due(*row) for row in sorted(taken)]

    def _tell(self, due: Sequence[_Due]) -> list[_Due]:
        """Announce one after another, up to the first that the broker does not take."""
        told = []
        try:
            for each in due:
                self._broker.announce(each.id, each.priority)
                told.append(each)
        except BrokerUnavailableError as error:
            log.warning("jobs are announced later", count=len(due) - len(told), error=str(error))
        return told

    def _note(self, told: Sequence[_Due]) -> None:
        """Remember what was announced, unless it has been claimed and put back meanwhile."""
        with self._database.write() as connection:
            for each in told:
                is_same = (job.c.number == each.number) & (job.c.announce_at == each.again_at)
                connection.execute(update(job).where(is_same).values(announce_at=None))

    def _count(self) -> int:
        with self._database.read() as connection:
            count = select(func.count()).select_from(job).where(self._is_announced())
            return connection.execute(count).scalar_one()

    def _is_announced(self) -> ColumnElement[bool]:
        is_due = has_come(job.c.run_after, self._database.now())
        return IS_QUEUED & job.c.announce_at.is_(None) & is_due
