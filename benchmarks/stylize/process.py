"""Runs a program and watches its memory."""

import os
import subprocess
import sys


def watched(command: list[str]) -> tuple[str, int]:
    """Run a command: what it printed, and its peak resident bytes. Dots show that it lives."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            sys.stderr.write("." if len(line) < 60 else "")
            sys.stderr.flush()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return "".join(lines), usage.ru_maxrss * 1024
