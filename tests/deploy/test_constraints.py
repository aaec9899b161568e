"""The lock file is complete and consistent on every supported version of Python."""

import platform
from importlib import metadata

import pytest
from packaging.specifiers import SpecifierSet

from tests.deploy.constraints import PROJECT, environment, pinned, required, supported_pythons
from tests.service import ROOT

SUPPORTED = SpecifierSet(PROJECT["requires-python"])
MINORS = [minor for number in range(100) if f"{(minor := f'3.{number}')}.0" in SUPPORTED]
PYTHONS = [
    python for minor in MINORS for patch in range(5) if (python := f"{minor}.{patch}") in SUPPORTED
]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_and_nothing_else(python: str) -> None:
    markers = environment(python)
    assert pinned(markers).keys() == required(markers).keys()


@pytest.mark.parametrize("python", PYTHONS)
def test_every_pinned_version_fits_the_requirements_and_python(python: str) -> None:
    markers = environment(python)
    pins = pinned(markers)
    for name, specifier in required(markers).items():
        assert specifier.contains(pins[name], prereleases=True), name
        assert python in supported_pythons(name), name


def test_the_installed_packages_are_the_pinned_ones() -> None:
    pins = pinned(environment(platform.python_version()))
    installed = {name: metadata.version(name).partition("+")[0] for name in pins}
    assert installed == {name: str(version) for name, version in pins.items()}


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    first, *_, last = MINORS
    prefix = "Programming Language :: Python :: "
    assert PROJECT["classifiers"] == [prefix + minor for minor in MINORS]
    assert f"Python {first} to {last}" in (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert f"Python {first} to {last}" in makefile
    assert f"--python-version {first} " in makefile
