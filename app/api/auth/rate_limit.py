"""Rate limits: what one caller may ask for in a minute."""

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

from app.api.problems import ApiError, ProblemType
from app.api.threads import soon_in_store
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.errors import StoreUnavailableError

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

_AWAY_S = 5.0
"""The pause after the database has not answered."""


class RateLimitedError(ApiError):
    """The caller has reached a limit per minute."""

    problem_type = ProblemType(429, "rate_limited", "Too much in one minute", retry_after_s=60)


class RateLimiter:
    """Rate limits on each caller's requests, job submissions and pixels.

    A minute begins with a caller's first request in it. While a shared database is unreachable,
    nothing is limited, because most requests do not need it.
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
            requests_per_minute: for one caller; None for no limit.
            submissions_per_minute: the same for requests that create jobs.
            pixels_per_minute: the same for pixels.
            shared: the storage of the counts; None for this process.
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
            RateLimitedError: the limit has been reached.
        """
        if self._requests:
            await self._ask(partial(self._take, self._requests, caller))

    async def take_submission(self, caller: str) -> None:
        """Count a request that creates a job.

        Raises:
            RateLimitedError: the limit has been reached.
        """
        if self._submissions:
            await self._ask(partial(self._take, self._submissions, caller))

    async def check_pixels(self, caller: str) -> None:
        """Check that the caller has pixels left.

        Raises:
            RateLimitedError: the caller has none left.
        """
        if self._pixels:
            await self._ask(partial(self._check, self._pixels, caller))

    @asynccontextmanager
    async def counting(self, caller: str) -> AsyncIterator[Callable[[int], None]]:
        """Count the pixels of images, including those that turn out to be unusable.

        The function that is yielded may be called in any thread. Pixels over the limit only affect
        later requests.
        """
        pixels: list[int] = []
        try:
            yield pixels.append
        finally:
            if self._pixels and pixels:
                await self._ask(partial(self._limiter.hit, self._pixels, caller, cost=sum(pixels)))

    async def _ask(self, count: Callable[[], object]) -> None:
        """Count in the storage, off the event loop if the storage is a database."""
        if not self._is_shared:
            count()
        elif time.monotonic() >= self._away_until:
            try:
                await soon_in_store(count)
            except (StoreUnavailableError, TimeoutError) as error:
                self._away_until = time.monotonic() + _AWAY_S
                reason = str(error) or "no answer within a second"
                log.warning(
                    "rate limits are not enforced: the database is unreachable", error=reason
                )

    def _take(self, limit: RateLimitItem, caller: str) -> None:
        if not self._limiter.hit(limit, caller):
            self._refuse(limit, caller)

    def _check(self, limit: RateLimitItem, caller: str) -> None:
        if not self._limiter.test(limit, caller):
            self._refuse(limit, caller)

    def _refuse(self, limit: RateLimitItem, caller: str) -> None:
        ends_at = self._limiter.get_window_stats(limit, caller).reset_time
        wait_s = max(1, math.ceil(ends_at - time.time()))
        if wait_s > limit.get_expiry() + 1:  # the clock has been set back
            self._limiter.clear(limit, caller)
            return
        raise RateLimitedError(
            f"The limit is {limit.amount:,} {limit.namespace} per minute. Try again in {wait_s} s.",
            retry_after_s=wait_s,
        )


def _per_minute(amount: int | None, of: str) -> RateLimitItem | None:
    return RateLimitItemPerMinute(amount, namespace=of) if amount else None
