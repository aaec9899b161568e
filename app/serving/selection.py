"""Chooses a model's engine in a process of its own, which gives way to this one.

Tracing a network and comparing engines hold up every other thread of a process for seconds. What
that process finds is kept on disk, where this one finds it.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress

from app.vision.errors import CheckpointError

_LONGEST_S = 900.0  # some twenty seconds on an idle host, minutes on a busy one: beyond, it hangs


async def prepare(name: str, longest_s: float = _LONGEST_S) -> None:
    """Run `python -m app prepare`, with the settings of this process; it ends with this process.

    Raises:
        CheckpointError: it failed, and why is in the log, or took more than `longest_s` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *("prepare", "--supervised", name),
        stdin=PIPE,  # stays open as long as this process lives
        stdout=DEVNULL,
    )
    try:
        status = await asyncio.wait_for(process.wait(), longest_s)
    except TimeoutError:
        raise CheckpointError(
            f"its engine could not be chosen: `python -m app prepare {name}` was killed, as it had "
            f"not ended after {longest_s:g} s"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if status:
        raise CheckpointError(
            f"its engine could not be chosen: `python -m app prepare {name}` ended with {status}"
        )
