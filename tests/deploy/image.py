"""Executes the Dockerfile in folders, instruction by instruction, and knows how to start it."""

import json
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tests.deploy.context import copy_from_context
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
        """Describe how to run the image, with further environment variables."""
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
        *sources, target = words
        into = image.root.path / PurePosixPath(image.folder, target).relative_to("/")
        if sources[0].startswith("--from="):
            stage, (source,) = sources[0].removeprefix("--from="), sources[1:]
            origin = images[stage].root.path / source.removeprefix("/")
            into.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", "--link", origin, into], check=True)
            return
        for source in sources:
            copy_from_context(ROOT / source, into)


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
