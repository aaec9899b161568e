"""Selection of a model's engine in a process of its own, which gives way to this one.

Tracing a network and comparing engines hold up every other thread of a process for seconds. The
converted network is kept on disk, where this process finds it.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

import structlog

from app.engines.selection_cache import Verdict
from app.serving.errors import SelectionError

log = structlog.stdlib.get_logger(__name__)

_LONGEST_S = 900.0  # some twenty seconds on an idle host, minutes on a busy one: beyond, it hangs


async def select_engine(name: str, longest_s: float = _LONGEST_S) -> Verdict:
    """Run `python -m app prepare`, with the settings of this process; it ends with this process.

    Raises:
        SelectionError: no engine can be used, or the process failed or took more than `longest_s`
            seconds; details are in the log.
    """
    log.info("selecting an engine", model=name)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *("prepare", "--supervised", name),
        stdin=PIPE,  # stays open as long as this process lives
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(longest_s):
            said = await process.stdout.read()
            status = await process.wait()
    except TimeoutError:
        raise SelectionError(
            f"`python -m app prepare {name}` was killed, as it had not ended after {longest_s:g} s"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    if status:
        raise SelectionError(last or f"`python -m app prepare {name}` ended with {status}")
    try:
        return Verdict.from_json(json.loads(last))
    except (ValueError, KeyError, TypeError) as error:
        raise SelectionError(f"`python -m app prepare {name}` said {last!r:.80}") from error
