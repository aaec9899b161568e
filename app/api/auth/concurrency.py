"""Limits on what one caller may do at one time."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import AtelierError


class TooManyAtOnceError(AtelierError):
    """The caller does as much as one may at one time."""


class ConcurrencyLimit:
    """Counts what every caller does now. Belongs to one event loop."""

    def __init__(self, most: int, refusal: Callable[[], AtelierError]) -> None:
        """Allow each caller `most` at one time; `refusal` makes the error for one more."""
        self._most = most
        self._refusal = refusal
        self._taken = Counter[str]()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Count one more until the exit.

        Raises:
            AtelierError: the refusal.
        """
        if self._taken[caller] >= self._most:
            raise self._refusal()
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]


def follower_limit(most: int) -> ConcurrencyLimit:
    """Limit the requests of one caller that follow jobs."""
    return ConcurrencyLimit(
        most,
        lambda: TooManyAtOnceError(
            f"A caller may have {most:,} event streams and requests with `Prefer: wait` at one "
            "time. Close some, or ask for the job now and then."
        ),
    )
