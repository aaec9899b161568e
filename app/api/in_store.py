"""Calls of the job database, in threads of their own.

A database that does not answer holds each call for seconds; what needs other threads must not wait
behind those.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE_S = 1.0

_threads = CapacityLimiter(20)


async def in_store(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of the store, or one that uses it, in one of these threads."""
    return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=_threads)


async def soon_in_store(call: Callable[[], T]) -> T:
    """Call a method of the store for somebody who does not wait while it is locked.

    Raises:
        TimeoutError: there is no answer within a second.
    """
    return await asyncio.wait_for(asyncio.shield(in_store(call)), _PATIENCE_S)
