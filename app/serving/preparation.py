"""Chooses a model's engine in a process of its own, which gives way to this one.

Tracing a network and comparing engines hold up every other thread of a process for seconds. What
that process finds is kept on disk, where this one finds it.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress

from app.vision.errors import CheckpointError


async def prepare(name: str) -> None:
    """Run `python -m app prepare`, with the settings of this process; it ends with this process.

    Raises:
        CheckpointError: it failed; why is in the log.
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
        status = await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if status:
        raise CheckpointError(
            f"its engine could not be chosen: `python -m app prepare {name}` ended with {status}"
        )
