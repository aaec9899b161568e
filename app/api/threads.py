"""Calls that a server which does not answer holds for seconds, in threads of their own.

Nothing that needs other threads waits behind those.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

_COUNT = 20
_PATIENCE_S = 1.0


class Threads:
    """Some threads that only one kind of call uses."""

    def __init__(self, count: int) -> None:
        self._limiter = CapacityLimiter(count)

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call something in one of them."""
        return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._limiter)


in_store = Threads(_COUNT)
"""For methods of the job store, and what uses them."""

in_storage = Threads(_COUNT)
"""For the files of jobs."""

in_parser = Threads(1)
"""For large JSON objects, one at a time: parsing one holds the interpreter lock."""


async def soon_in_store(call: Callable[[], T]) -> T:
    """Call a method of the store for somebody who does not wait while it is locked.

    Raises:
        TimeoutError: there is no answer within a second.
    """
    return await asyncio.wait_for(asyncio.shield(in_store(call)), _PATIENCE_S)
