"""Programs in processes of their own, and what they took."""

import re
import subprocess
import sys
from pathlib import Path


def run(module: str, *arguments: object) -> str:
    """Run a module and return what it printed. Dots show that it lives."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            sys.stderr.write("." if len(line) < 60 else "")
            sys.stderr.flush()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return "".join(lines)


def peak_bytes() -> int:
    """Peak resident bytes of this process.

    What `getrusage` says of a process may be the peak of the one that started it.
    """
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
