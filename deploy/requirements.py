"""Prints what `pyproject.toml` requires, so that an image can install it before it has the code.

`python deploy/requirements.py EXTRA,EXTRA`; `""` for none.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Read the project's dependencies and those of some of its extras."""
    project = tomllib.loads(pyproject.read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(each for extra in extras for each in optional[extra])]


if __name__ == "__main__":
    for requirement in requirements(
        Path("pyproject.toml"), list(filter(None, sys.argv[1].split(",")))
    ):
        sys.stdout.write(f"{requirement}\n")
