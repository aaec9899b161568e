"""Executes the Dockerfile in folders, instruction by instruction, and knows how to start it."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tests.deploy.dockerfile import Stage, assignment, expand, stages
from tests.deploy.root import Container, Root
from tests.service import ROOT

_NO_EFFECT = {"EXPOSE", "LABEL", "VOLUME"}


@dataclass
class Image:
    """A stage as far as it is built."""

    root: Root
    environment: dict[str, str]
    folder: str = "/"
    user: str = "0:0"
    start: dict[str, list[str]] = field(default_factory=dict)
    """ENTRYPOINT, CMD and the HEALTHCHECK's command."""

    def container(self, variables: dict[str, str]) -> Container:
        """How to run it, with further environment variables."""
        return Container(self.environment | variables, self.folder, self.user)


@dataclass
class Build:
    """`docker build` of the Dockerfile beside this project's code, into a folder."""

    folder: Path
    arguments: dict[str, str]
    host: dict[str, str]
    """Variables that only the build sees, such as pip's."""
    shared: tuple[Path, ...]
    """What the build sees of this host."""

    def run(self) -> Image:
        """Build all stages; the last one's image."""
        images: dict[str, Image] = {}
        for stage in stages(ROOT / "Dockerfile", self.arguments):
            images[stage.name] = image = self._begin(stage, images)
            given: dict[str, str] = {}
            for name, rest in ((each.name, each.rest) for each in stage.instructions):
                if name == "ARG":
                    variable, value = assignment(rest)
                    given[variable] = self.arguments.get(variable, value.strip('"'))
                elif name == "RUN":
                    self._execute(image, given, rest)
                elif name == "COPY":
                    self._copy(images, image, rest.split())
                else:
                    _configure(image, name, rest)
        return image

    def _begin(self, stage: Stage, images: dict[str, Image]) -> Image:
        if stage.base in images:  # goes on in the tree of the stage below, which nobody else uses
            below = images[stage.base]
            return replace(below, environment=dict(below.environment))
        assert stage.base.startswith("python:3.11-slim")
        root = Root(self.folder / stage.name, self.shared)
        root.make()
        return Image(root, {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})

    def _execute(self, image: Image, given: dict[str, str], line: str) -> None:
        variables = {"HOME": "/root"} | self.host | given | image.environment
        container = Container(variables, image.folder, image.user)
        image.root.run(container, ["sh", "-c", line])

    def _copy(self, images: dict[str, Image], image: Image, words: list[str]) -> None:
        *sources, target = [word for word in words if not word.startswith("--")]
        into = image.root.path / PurePosixPath(image.folder, target).relative_to("/")
        for word in words:
            if word.startswith("--"):
                stage = images[word.removeprefix("--from=")]
                (source,) = sources
                into.parent.mkdir(parents=True, exist_ok=True)
                origin = stage.root.path / source.removeprefix("/")
                subprocess.run(["cp", "--archive", "--link", origin, into], check=True)
                return
        for source in sources:
            _copy_from_context(ROOT / source, into)


def _configure(image: Image, name: str, rest: str) -> None:
    """Do what an instruction says that changes no file."""
    if name == "WORKDIR":
        image.folder = rest
        (image.root.path / rest.removeprefix("/")).mkdir(parents=True, exist_ok=True)
    elif name == "ENV":
        for variable, value in map(assignment, rest.split()):
            image.environment[variable] = expand(value.strip('"'), image.environment)
    elif name == "USER":
        image.user = rest
    elif name in {"ENTRYPOINT", "CMD"}:
        image.start[name] = json.loads(rest)
    elif name == "HEALTHCHECK":
        image.start[name] = json.loads(rest.partition("CMD ")[2])
    else:
        assert name in _NO_EFFECT, name


def is_ignored(path: Path) -> bool:
    """Whether `.dockerignore` keeps a path of this project out of the build."""
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    relative = path.relative_to(ROOT)
    names = [str(each) for each in (relative, *relative.parents)]
    ignored = False
    for pattern in (each for each in patterns if each and not each.startswith("#")):
        wanted = pattern.removeprefix("!")
        found = (
            wanted.removeprefix("**/") in relative.parts
            if wanted.startswith("**/")
            else any(fnmatch(name, wanted) for name in names)
        )
        if found:
            ignored = not pattern.startswith("!")
    return ignored


def _copy_from_context(source: Path, into: Path) -> None:
    assert source.exists(), source
    assert not is_ignored(source), f".dockerignore keeps {source} out"
    if source.is_dir():
        shutil.copytree(source, into, ignore=_ignored_names, dirs_exist_ok=True)
    else:
        shutil.copy2(source, into)


def _ignored_names(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if is_ignored(Path(folder, name))}
