"""Clocks that nobody can set: the time of service, and the time without a change."""

import time
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import structlog
from sqlalchemy import select, update

from app.jobs.db.database import Database
from app.jobs.db.tables import service_time

log = structlog.stdlib.get_logger(__name__)

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux, this clock continues while the machine is suspended."""

_NOTE_EVERY_S = 60.0
_JUMP_S = 60.0
"""More than an ordinary correction of a clock."""


class ServiceTime:
    """The seconds for which the service has run, in one row that all processes advance.

    Each process adds the time of its monotonic clock since its first reading, and the one that is
    ahead writes. A pause, in which no process ran, can only be measured by the wall clock, which
    may be wrong, so at most `longest_pause_s` of it counts. docs/decisions/0017 gives the reasons.
    """

    def __init__(self, database: Database, longest_pause_s: float) -> None:
        self._database = database
        self._longest_pause_s = longest_pause_s
        self._began: float | None = None  # service time when the monotonic clock was 0
        self._offset_s: float | None = None  # difference of the wall clock and the monotonic clock

    def now(self) -> float:
        """Return the service time, and store it regularly.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        columns = (service_time.c.seconds, service_time.c.noted_at, self._database.now())
        with self._database.read() as connection:
            noted, noted_at, wall = connection.execute(select(*columns)).one()
        counted = time.clock_gettime(_BOOT_CLOCK)
        self._warn_of_jump(wall - counted)
        if self._began is None:
            self._began = noted + self._pause_s(wall - noted_at) - counted
        found = max(noted, self._began + counted)
        if found >= noted + _NOTE_EVERY_S:
            self._note(found)
        return float(found)

    def _pause_s(self, by_wall_s: float) -> float:
        if by_wall_s > self._longest_pause_s:
            log.info(
                "the service did not run for long, or the clock is wrong: "
                "only a part of the pause counts towards the expiry of jobs",
                pause_s=round(by_wall_s),
                counted_s=round(self._longest_pause_s),
            )
        return min(max(0.0, by_wall_s), self._longest_pause_s)

    def _warn_of_jump(self, offset_s: float) -> None:
        before_s, self._offset_s = self._offset_s, offset_s
        if before_s is not None and abs(offset_s - before_s) > _JUMP_S:
            log.warning(
                "the clock was set: new jobs and log lines have the new time; "
                "leases and expiry do not go by it, and nothing has to be done",
                by_s=round(offset_s - before_s),
            )

    def _note(self, seconds: float) -> None:
        is_ahead = service_time.c.seconds < seconds
        values = {"seconds": seconds, "noted_at": self._database.now()}
        with self._database.write() as connection:
            connection.execute(update(service_time).where(is_ahead).values(values))


T = TypeVar("T", bound=Hashable)


class UnchangedFor(Generic[T]):
    """A tracker of values that have not changed for a while.

    Stored times are compared with the clock of this host, which may be set at any moment. The
    values that this class returns have been the same for `for_s` seconds of this process's
    monotonic clock.
    """

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._seen_since: dict[T, float] = {}

    def among(self, seen: Iterable[T]) -> set[T]:
        """Return the values that were also in all earlier calls for long enough."""
        now = time.monotonic()
        self._seen_since = {each: self._seen_since.get(each, now) for each in seen}
        return {each for each, since in self._seen_since.items() if now - since >= self._for_s}
