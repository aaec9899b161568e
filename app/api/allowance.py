"""How much one caller may ask for in a minute."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app.vision.errors import AtelierError


class RateLimitedError(AtelierError):
    """The caller has asked for as much as one may in a minute; when the next begins, s."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Allowance:
    """Counts every caller's requests, and the pixels of the pictures that came with them.

    A minute begins with a caller's first request in it.
    """

    def __init__(self, requests_per_minute: int | None, pixels_per_minute: int | None) -> None:
        """Create; None stands for no limit."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._requests = _per_minute(requests_per_minute, "requests")
        self._pixels = _per_minute(pixels_per_minute, "pixels")

    def take_request(self, caller: str) -> None:
        """Count a request.

        Raises:
            RateLimitedError: it is one too many.
        """
        if self._requests and not self._limiter.hit(self._requests, caller):
            raise self._refused(self._requests, caller)

    def check_pixels(self, caller: str) -> None:
        """Refuse pictures when there were too many pixels before them.

        Raises:
            RateLimitedError: there were.
        """
        if self._pixels and not self._limiter.test(self._pixels, caller):
            raise self._refused(self._pixels, caller)

    def count_pixels(self, caller: str, pixels: int) -> None:
        """Count those of a picture, before it is decoded; if they are too many, the next waits."""
        if self._pixels:
            self._limiter.hit(self._pixels, caller, cost=pixels)

    def _refused(self, limit: RateLimitItem, caller: str) -> RateLimitedError:
        ends_at = self._limiter.get_window_stats(limit, caller).reset_time
        wait_s = max(1, math.ceil(ends_at - time.time()))
        return RateLimitedError(
            f"a caller may send {limit.amount:,} {limit.namespace} in a minute; "
            f"go on in {wait_s} s",
            wait_s,
        )


def _per_minute(amount: int | None, of: str) -> RateLimitItem | None:
    return RateLimitItemPerMinute(amount, namespace=of) if amount else None
