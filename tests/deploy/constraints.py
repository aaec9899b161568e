"""The lock file, and the packages that have to be in it."""

import tomllib
from functools import cache
from importlib import metadata
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.service import ROOT

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
LINES = tuple(
    Requirement(line)
    for line in (ROOT / "deploy/constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


def environment(python: str) -> dict[str, str]:
    """Return the values of all markers on this machine, with another version of Python."""
    here = {name: str(value) for name, value in default_environment().items()}
    minor = ".".join(python.split(".")[:2])
    return here | {"python_version": minor, "python_full_version": python}


def pinned(markers: dict[str, str]) -> dict[str, Version]:
    """Return the versions that the lock file has for an environment, by package."""
    found: dict[str, Version] = {}
    for line in LINES:
        if _applies(line, markers):
            (specifier,) = line.specifier
            assert specifier.operator == "==", line
            assert line.name not in found, line
            found[canonicalize_name(line.name)] = Version(specifier.version)
    return found


def required(markers: dict[str, str]) -> dict[str, SpecifierSet]:
    """Return what the project, its extras and its build need in an environment, by package.

    The requirements of a dependency are those of the installed package; those of a package that is
    not installed here are unknown.
    """
    groups = [PROJECT["dependencies"], PYPROJECT["build-system"]["requires"]]
    lines = [
        line for group in (*groups, *PROJECT["optional-dependencies"].values()) for line in group
    ]
    waiting = [each for each in map(Requirement, lines) if _applies(each, markers)]
    found: dict[str, SpecifierSet] = {}
    visited: set[tuple[str, str]] = set()
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if name == PROJECT["name"]:  # an extra of its own, which is in the list already
            continue
        found[name] = found.get(name, SpecifierSet()) & each.specifier
        for extra in ("", *each.extras):
            if (name, extra) not in visited:
                visited.add((name, extra))
                waiting += [one for one in _requirements(name) if _applies(one, markers, extra)]
    return found


def supported_pythons(name: str) -> SpecifierSet:
    """Return the versions of Python that a package supports; all if it is not installed here."""
    try:
        fields = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return SpecifierSet()
    return SpecifierSet(",".join(fields.get_all("Requires-Python", [])))


@cache
def _requirements(name: str) -> tuple[Requirement, ...]:
    try:
        return tuple(map(Requirement, metadata.requires(name) or ()))
    except metadata.PackageNotFoundError:
        return ()


def _applies(requirement: Requirement, markers: dict[str, str], extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**markers, "extra": extra})
