"""Calls of the job database, in threads of their own.

A database that does not answer holds each call for seconds; what needs other threads must not wait
behind those.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

_threads = CapacityLimiter(20)


async def in_store(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of the store, or one that uses it, in one of these threads."""
    return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=_threads)
