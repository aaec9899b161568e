"""How much one caller may ask for in a minute."""

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app.api.threads import soon_in_store
from app.errors import AtelierError
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.errors import StoreUnavailableError

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

_AWAY_S = 5.0
"""How long a database that did not answer is not asked again."""


class RateLimitedError(AtelierError):
    """The caller has asked for as much as one may in a minute; when the next begins, s."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Allowance:
    """Counts every caller's requests, those that ask for jobs, and the pixels of their pictures.

    A minute begins with a caller's first request in it. While the database that several hosts
    count in does not answer, everybody may go on: most that they ask for does not need it.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        submissions_per_minute: int | None,
        pixels_per_minute: int | None,
        shared: DatabaseStorage | None = None,
    ) -> None:
        """Create.

        Args:
            requests_per_minute: of one caller; None stands for no limit.
            submissions_per_minute: likewise.
            pixels_per_minute: likewise.
            shared: where to count; None is this process.
        """
        self._is_shared = shared is not None
        self._limiter = FixedWindowRateLimiter(shared or MemoryStorage())
        self._requests = _per_minute(requests_per_minute, "requests")
        self._submissions = _per_minute(submissions_per_minute, "submissions")
        self._pixels = _per_minute(pixels_per_minute, "pixels")
        self._away_until = 0.0

    async def take_request(self, caller: str) -> None:
        """Count a request.

        Raises:
            RateLimitedError: it is one too many.
        """
        if self._requests:
            await self._ask(partial(self._take, self._requests, caller))

    async def take_submission(self, caller: str) -> None:
        """Count a request that asks for a job.

        Raises:
            RateLimitedError: it is one too many.
        """
        if self._submissions:
            await self._ask(partial(self._take, self._submissions, caller))

    async def check_pixels(self, caller: str) -> None:
        """Refuse pictures when there were too many pixels before them.

        Raises:
            RateLimitedError: there were.
        """
        if self._pixels:
            await self._ask(partial(self._check, self._pixels, caller))

    @asynccontextmanager
    async def counting(self, caller: str) -> AsyncIterator[Callable[[int], None]]:
        """Count the pixels of pictures, also of those that cannot be used in the end.

        What is given may be told of them in any thread. If they are too many, the next wait.
        """
        pixels: list[int] = []
        try:
            yield pixels.append
        finally:
            if self._pixels and pixels:
                await self._ask(partial(self._limiter.hit, self._pixels, caller, cost=sum(pixels)))

    async def _ask(self, count: Callable[[], object]) -> None:
        """Count where it is done, off the event loop where that takes waiting."""
        if not self._is_shared:
            count()
        elif time.monotonic() >= self._away_until:
            try:
                await soon_in_store(count)
            except (StoreUnavailableError, TimeoutError) as error:
                self._away_until = time.monotonic() + _AWAY_S
                reason = str(error) or "no answer within a second"
                log.warning("callers' limits do not hold for now", error=reason)

    def _take(self, limit: RateLimitItem, caller: str) -> None:
        if not self._limiter.hit(limit, caller):
            self._refuse(limit, caller)

    def _check(self, limit: RateLimitItem, caller: str) -> None:
        if not self._limiter.test(limit, caller):
            self._refuse(limit, caller)

    def _refuse(self, limit: RateLimitItem, caller: str) -> None:
        ends_at = self._limiter.get_window_stats(limit, caller).reset_time
        wait_s = max(1, math.ceil(ends_at - time.time()))
        if wait_s > limit.get_expiry() + 1:  # the clock has been set back since
            self._limiter.clear(limit, caller)
            return
        raise RateLimitedError(
            f"one may send {limit.amount:,} {limit.namespace} in a minute; go on in {wait_s} s",
            wait_s,
        )


def _per_minute(amount: int | None, of: str) -> RateLimitItem | None:
    return RateLimitItemPerMinute(amount, namespace=of) if amount else None
