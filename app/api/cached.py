"""A cached query of the job database, for values that may be a second old."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from app.api.threads import in_store

T = TypeVar("T")


class Cached(Generic[T]):
    """The result of a query, cached for a while. Belongs to one event loop."""

    def __init__(self, query: Callable[[], T], *, max_age_s: float, timeout_s: float) -> None:
        """Cache what `query` returns or raises for `max_age_s` after it has ended."""
        self._query = query
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._asked: asyncio.Task[T] | None = None
        self._ended_at = 0.0

    async def get(self) -> T:
        """Return the result; query again if it is too old, one query at a time.

        Raises:
            TimeoutError: the query has not ended in time.
            Exception: the query raised it.
        """
        if self._asked is None or self._is_old(self._asked):
            self._asked = asyncio.create_task(in_store(self._query))
            self._asked.add_done_callback(self._end)
        return await asyncio.wait_for(asyncio.shield(self._asked), self._timeout_s)

    def _is_old(self, asked: asyncio.Task[T]) -> bool:
        now = asyncio.get_running_loop().time()
        return asked.done() and now - self._ended_at >= self._max_age_s

    def _end(self, asked: asyncio.Task[T]) -> None:
        self._ended_at = asyncio.get_running_loop().time()
        if not asked.cancelled():
            asked.exception()  # asyncio logs exceptions that are never retrieved
