"""Limits on concurrent requests of one caller."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.api.problems import ApiError, ProblemType
from app.errors import AtelierError


class TooManyAtOnceError(ApiError):
    """The caller has reached the limit of concurrent requests."""

    problem_type = ProblemType(429, "too_many_at_once", "Too much at one time", retry_after_s=10)


class ConcurrencyLimit:
    """A counter of the current requests of each caller. Belongs to one event loop."""

    def __init__(self, most: int, refusal: Callable[[], AtelierError]) -> None:
        """Allow `most` at one time per caller; `refusal` creates the error for the next one."""
        self._most = most
        self._refusal = refusal
        self._taken = Counter[str]()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Count one request until the exit.

        Raises:
            AtelierError: the caller has reached the limit.
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


def parser_limit(most: int) -> ConcurrencyLimit:
    """Return the limit on large JSON requests of one caller."""
    return ConcurrencyLimit(
        most,
        lambda: TooManyAtOnceError(
            f"A caller may have {most:,} large JSON requests at one time. Wait for an answer "
            "before you send another, or send binary data."
        ),
    )


def stream_limit(most: int) -> ConcurrencyLimit:
    """Return the limit on event streams and waiting requests of one caller."""
    return ConcurrencyLimit(
        most,
        lambda: TooManyAtOnceError(
            f"A caller may have {most:,} event streams and requests with `Prefer: wait` at one "
            "time. Close some, or ask for the job now and then."
        ),
    )
