"""Selection of a model's engine in a subprocess of low priority.

Tracing a network and comparing engines block every other thread of a process for seconds. The
subprocess caches the converted network on disk, where this process finds it.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

import structlog

from app.engines.selection_cache import CachedSelection
from app.serving.errors import SelectionError

log = structlog.stdlib.get_logger(__name__)

_TIMEOUT_S = 900.0  # it takes some twenty seconds on an idle host, minutes on a busy one


async def select_engine_in_subprocess(name: str, timeout_s: float = _TIMEOUT_S) -> CachedSelection:
    """Run `python -m app prepare` with the settings of this process; it ends with this process.

    Raises:
        SelectionError: no engine can be used, or the subprocess failed or took more than
            `timeout_s` seconds; details are in the log.
    """
    log.info("selecting an engine", model=name)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *("prepare", "--supervised", name),
        stdin=PIPE,  # its end tells the subprocess that this process has ended
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            output = await process.stdout.read()
            status = await process.wait()
    except TimeoutError:
        raise SelectionError(
            f"`python -m app prepare {name}` was killed because it took more than {timeout_s:g} s."
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    last_line = output.decode(errors="replace").strip().rpartition("\n")[2]
    if status:
        raise SelectionError(
            last_line or f"`python -m app prepare {name}` ended with status {status}."
        )
    try:
        return CachedSelection.from_json(json.loads(last_line))
    except (ValueError, KeyError, TypeError) as error:
        raise SelectionError(
            f"`python -m app prepare {name}` printed {last_line!r:.80}."
        ) from error
