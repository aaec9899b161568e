"""Storage of rate limits that several hosts share, for the library `limits`."""

import time
from typing import Any

from limits.storage import Storage
from sqlalchemy import case, delete, select

from app.jobs.db.database import Database
from app.jobs.db.tables import rate_limiter
from app.jobs.errors import StoreUnavailableError


class DatabaseStorage(Storage):
    """A storage in the job database, by its clock. Every method except `reset` is one statement.

    All raise `StoreUnavailableError` if the database does not answer. Expired rows stay until they
    are used again or `app.jobs.maintenance` removes them.
    """

    STORAGE_SCHEME = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception]:
        """The errors that the methods raise."""
        return StoreUnavailableError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count, and return the sum of the current window of `expiry` seconds."""
        now = self._database.now()
        new = self._database.insert(rate_limiter).values(key=key, used=amount, ends_at=now + expiry)
        is_over = rate_limiter.c.ends_at <= now
        statement = new.on_conflict_do_update(
            index_elements=[rate_limiter.c.key],
            set_={
                "used": case((is_over, amount), else_=rate_limiter.c.used + amount),
                "ends_at": case((is_over, now + expiry), else_=rate_limiter.c.ends_at),
            },
        )
        with self._database.write() as connection:
            return int(connection.execute(statement.returning(rate_limiter.c.used)).scalar_one())

    def get(self, key: str) -> int:
        """Return the sum of the current window."""
        return int(self._now_in(key, rate_limiter.c.used) or 0)

    def get_expiry(self, key: str) -> float:
        """Return the end of the current window, by the clock of this host."""
        left_s = self._now_in(key, rate_limiter.c.ends_at - self._database.now())
        return time.time() + (left_s or 0.0)

    def check(self) -> bool:
        """Return whether the database answers."""
        self.get("")
        return True

    def reset(self) -> int:
        """Delete all sums, and return their number."""
        with self._database.write() as connection:
            return connection.execute(delete(rate_limiter)).rowcount

    def clear(self, key: str) -> None:
        """Delete a sum."""
        with self._database.write() as connection:
            connection.execute(delete(rate_limiter).where(rate_limiter.c.key == key))

    def _now_in(self, key: str, what: Any) -> Any:
        is_on = (rate_limiter.c.key == key) & (rate_limiter.c.ends_at > self._database.now())
        with self._database.read() as connection:
            return connection.execute(select(what).where(is_on)).scalar()
