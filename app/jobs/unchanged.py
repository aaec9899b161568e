"""Waiting for something to stay as it is, by a clock that nobody can set."""

import time
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class UnchangedFor(Generic[T]):
    """The things that one process has seen at every look for a while.

    Times that are stored, in rows or with files, are compared with the clock of this host, which
    may be set at any moment. What this class returns has stayed the same for `for_s` seconds in
    which this process ran, whatever the clock shows.
    """

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._seen_since: dict[T, float] = {}

    def among(self, seen: Iterable[T]) -> set[T]:
        """Return those of the things in sight now that have been in sight for long enough."""
        now = time.monotonic()
        self._seen_since = {each: self._seen_since.get(each, now) for each in seen}
        return {each for each, since in self._seen_since.items() if now - since >= self._for_s}
