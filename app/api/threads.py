"""Thread pools for calls that an unresponsive server can block for seconds.

Other calls do not wait for these threads.
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
    """A pool of threads for one kind of call."""

    def __init__(self, count: int) -> None:
        self._limiter = CapacityLimiter(count)

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread of the pool."""
        return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._limiter)


in_store = Threads(_COUNT)
"""For methods of the job store and their users."""

in_storage = Threads(_COUNT)
"""For the files of jobs."""

in_parser = Threads(1)
"""For large JSON objects, one at a time, because parsing holds the GIL."""


async def soon_in_store(call: Callable[[], T]) -> T:
    """Call a method of the store with a short timeout.

    Raises:
        TimeoutError: the method has not returned within a second.
    """
    return await asyncio.wait_for(asyncio.shield(in_store(call)), _PATIENCE_S)
