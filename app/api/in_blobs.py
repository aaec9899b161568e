"""Calls that use the files of jobs, in threads of their own.

An object store that does not answer holds each call for seconds; nothing else waits behind those.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

_threads = CapacityLimiter(20)


async def in_blobs(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of the blobs, or something that uses them, in one of these threads."""
    return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=_threads)
