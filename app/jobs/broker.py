"""Publishing of waiting jobs to a broker, and the handling of its messages."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement, func, select, update

from app.errors import AtelierError
from app.jobs.db.database import Database
from app.jobs.db.tables import job
from app.jobs.model import Job
from app.jobs.queue import JobQueue
from app.jobs.transitions import IS_QUEUED, is_past

log = structlog.stdlib.get_logger(__name__)

_AT_ONCE = 100


class BrokerUnavailableError(AtelierError):
    """The broker does not answer, or does not confirm a message."""


class Broker(Protocol):
    """A message broker, which announces jobs to workers. Methods raise `BrokerUnavailableError`."""

    def announce(self, job_id: str, priority: int) -> None:
        """Announce a job to the workers; higher priorities come first."""
        ...

    def waiting(self) -> int:
        """Return the number of announcements that no worker has received yet."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True)
class _DueJob:
    number: int
    id: str
    priority: int
    again_at: float


class BrokerPublisher:
    """The publisher of a process.

    All methods raise `StoreUnavailableError`, as the store's do.
    """

    def __init__(self, database: Database, broker: Broker, again_s: float) -> None:
        """Use a database and a broker.

        Args:
            database: the job database.
            broker: the broker.
            again_s: seconds after which another process may announce a job that this one reserved.
        """
        self._database = database
        self._broker = broker
        self._again_s = again_s
        self._missed = False

    def announce(self) -> None:
        """Announce all due jobs. While the broker is unreachable, they stay due."""
        while due := self._take():
            told = self._tell(due)
            self._note(told)
            if len(told) < len(due):
                return

    def recover(self) -> None:
        """Announce all waiting jobs again if the broker has lost some.

        It has if it knows of fewer than are waiting, twice in a row: a worker may just have
        received one and not claimed it yet.
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
            log.warning("the broker has lost messages; announcing all waiting jobs again")

    def close(self) -> None:
        """Close the connection to the broker."""
        self._broker.close()

    def _take(self) -> list[_DueJob]:
        """Reserve some of the due jobs for this process, for a while."""
        now = self._database.now()
        is_due = IS_QUEUED & is_past(job.c.announce_at, now) & is_past(job.c.run_after, now)
        first = select(job.c.number).where(is_due).order_by(job.c.number).limit(_AT_ONCE)
        statement = update(job).where(job.c.number.in_(first), is_due)
        columns = (job.c.number, job.c.id, job.c.priority, job.c.announce_at)
        with self._database.write() as connection:
            taken = connection.execute(
                statement.values(announce_at=now + self._again_s).returning(*columns)
            ).all()
        return [_DueJob(*row) for row in sorted(taken)]

    def _tell(self, due: Sequence[_DueJob]) -> list[_DueJob]:
        """Announce one job after another, up to the first that the broker refuses."""
        told = []
        try:
            for each in due:
                self._broker.announce(each.id, each.priority)
                told.append(each)
        except BrokerUnavailableError as error:
            log.warning(
                "the broker is unreachable; jobs are announced later",
                count=len(due) - len(told),
                error=str(error),
            )
        return told

    def _note(self, told: Sequence[_DueJob]) -> None:
        """Record the announced jobs, except those that were claimed and put back meanwhile."""
        with self._database.write() as connection:
            for each in told:
                is_same = (job.c.number == each.number) & (job.c.announce_at == each.again_at)
                connection.execute(update(job).where(is_same).values(announce_at=None))

    def _count(self) -> int:
        with self._database.read() as connection:
            count = select(func.count()).select_from(job).where(self._is_announced())
            return connection.execute(count).scalar_one()

    def _is_announced(self) -> ColumnElement[bool]:
        is_due = is_past(job.c.run_after, self._database.now())
        return IS_QUEUED & job.c.announce_at.is_(None) & is_due


@dataclass(frozen=True)
class BrokerDeliveries:
    """The deliveries of one worker. `reap` releases the jobs whose lease has lapsed."""

    queue: JobQueue
    worker: str
    reap: Callable[[], None]
    stopping: threading.Event
    poll_s: float

    def claim(self, job_id: str, *, is_redelivered: bool) -> Job | None:
        """Claim the next job in order: there are as many messages as announced jobs.

        If none is waiting, the named job has ended, is scheduled for later, or is held by another
        worker. If the message was redelivered, that worker may have died: then wait for its next
        heartbeat, for one lease at most, and take the job over if the lease lapses.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        claimed = self._take(job_id)
        if claimed is not None or not is_redelivered:
            return claimed
        seen = self.queue.held(job_id)
        while seen is not None and not self.stopping.wait(self.poll_s):
            if (claimed := self._take(job_id)) is not None:
                return claimed
            before, seen = seen, self.queue.held(job_id)
            if seen is not None and seen.lease_until != before.lease_until:
                return None
        return None if self.stopping.is_set() else self._take(job_id)

    def _take(self, named: str) -> Job | None:
        """Claim until there is nothing left to claim: another worker may be faster."""
        while self.queue.has_work():
            self.reap()
            if (claimed := self.queue.claim(self.worker)) is not None:
                if claimed.id != named:
                    self.queue.replace_announcement(named, claimed)
                return claimed
        return None
