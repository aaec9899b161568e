"""The Dockerfile is well made, and installs what the project requires."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from setuptools.config.pyprojecttoml import read_configuration

from app import __version__
from tests.deploy.constraints import environment, pinned
from tests.deploy.context import is_ignored
from tests.deploy.dockerfile import instructions, stages
from tests.service import ROOT

DOCKERFILE = ROOT / "Dockerfile"


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    result = subprocess.run([hadolint, DOCKERFILE], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("extras", ["fleet", "cpu,fleet"])
def test_every_requirement_is_pinned_at_a_version_that_fits(extras: str) -> None:
    printed = subprocess.run(
        [sys.executable, "deploy/requirements.py", extras],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    required = [Requirement(line) for line in printed.splitlines()]
    assert required
    pins = pinned(environment("3.11.0"))
    for each in required:
        assert pins[each.name] in each.specifier, each


@pytest.mark.parametrize(("variant", "other"), [("gpu", "cpu"), ("cpu", "gpu")])
def test_a_variant_builds_only_its_own_torch(variant: str, other: str) -> None:
    names = [stage.name for stage in stages(DOCKERFILE, {"VARIANT": variant})]
    assert names == ["install", f"torch-{variant}", "packages", "atelier"]
    assert f"torch-{other}" not in names


def test_code_comes_after_torch_and_no_compiler_at_all() -> None:
    found = list(stages(DOCKERFILE, {}))
    *building, final = found
    copied = [each.rest for stage in building for each in stage.instructions if each.name == "COPY"]
    assert copied == ["deploy/constraints.txt ./", "deploy/requirements.py pyproject.toml ./"]
    names = [(each.name, each.rest) for each in final.instructions]
    assert names.index(("COPY", "--from=packages /opt/venv /opt/venv")) < names.index(
        ("COPY", "app app")
    )
    assert not any("apt" in each.rest for each in instructions(DOCKERFILE) if each.name == "RUN")


def test_the_version_is_the_programs() -> None:
    project = read_configuration(ROOT / "pyproject.toml")["project"]
    assert project["version"] == __version__
    versions = [each.rest for each in instructions(DOCKERFILE) if "VERSION=" in each.rest]
    assert versions == [f"VERSION={__version__}"]


@pytest.mark.parametrize("name", ["app/runtime/web.py", "models/mnist.pt", "pyproject.toml"])
def test_the_build_gets_what_it_needs(name: str) -> None:
    assert not is_ignored(ROOT / name)


@pytest.mark.parametrize("name", [".env", ".git", "var/atelier.db", "app/__pycache__", "tests"])
def test_the_build_gets_nothing_else(name: str) -> None:
    assert is_ignored(ROOT / name)
