"""The clock, judged by what has been written before."""

import time
from collections.abc import Iterator
from pathlib import Path

from app.doctor.finding import Finding, ok, problem
from app.settings import Settings

_AHEAD_S = 60.0


def clock(settings: Settings) -> Iterator[Finding]:
    """Compare it with the times of files: none of them can be from the future."""
    folders = (settings.data_dir, settings.models_dir, Path(__file__).parent)
    newest = max((_newest(folder) for folder in folders), default=0.0)
    now = time.time()
    if newest > now + _AHEAD_S:
        yield problem(
            f"clock: {newest - now:,.0f} s behind the newest file",
            "set the clock: jobs and log lines have its time",
        )
    else:
        yield ok(f"clock: {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(now))}")


def _newest(folder: Path) -> float:
    try:
        return max((path.lstat().st_mtime for path in folder.iterdir()), default=0.0)
    except OSError:
        return 0.0
