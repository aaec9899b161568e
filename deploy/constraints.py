"""Writes `deploy/constraints.txt`: the newest versions that fit `pyproject.toml` and each other.

Both images install from it. Nothing is installed; pip downloads what it has to look at.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from requirements import requirements

_HEAD = (
    "# Every package of both images, at one version. `make constraints` writes this file anew.\n"
)


def resolve(wanted: list[str]) -> list[str]:
    """Let pip choose a version of each requirement and of whatever they need: `name==version`."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    found = subprocess.run(  # noqa: S603 - of this project's own requirements
        [*pip, "--report", "-", *wanted], check=True, capture_output=True, text=True
    )
    packages = [each["metadata"] for each in json.loads(found.stdout)["install"]]
    return sorted(f"{_usual(each['name'])}=={each['version']}" for each in packages)


def _usual(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    folder = Path(__file__).parent
    pinned = resolve(requirements(folder.parent / "pyproject.toml", ["cpu", "fleet"]))
    (folder / "constraints.txt").write_text(_HEAD + "".join(f"{each}\n" for each in pinned))
