"""Reads a Dockerfile: as much of the language as this project's needs, and no more."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Instruction:
    """One instruction, such as `RUN`, and the rest of its line."""

    name: str
    rest: str


@dataclass(frozen=True)
class Stage:
    """What is built on one `FROM`: its name, the image or stage below it, and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def instructions(path: Path) -> list[Instruction]:
    """Split the file; continued lines are joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [
        Instruction(name, rest.strip())
        for name, _, rest in (line.partition(" ") for line in whole if line.strip())
    ]


def stages(path: Path, arguments: dict[str, str]) -> Iterator[Stage]:
    """Give the stages that the last one needs, in the order of the file.

    `arguments` win over the defaults of the global ARGs, which only `FROM` sees.
    """
    found = {stage.name: stage for stage in _all_stages(instructions(path), arguments)}
    needed, wanted = set[str](), [list(found)[-1]]
    while wanted:
        name = wanted.pop()
        needed.add(name)
        stage = found[name]
        copies = re.findall(r"--from=(\S+)", "\n".join(each.rest for each in stage.instructions))
        wanted += [each for each in (stage.base, *copies) if each in found]
    return (stage for name, stage in found.items() if name in needed)


def expand(text: str, variables: dict[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`; an unknown one by nothing."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`."""
    name, _, value = text.partition("=")
    return name, value


def _all_stages(found: list[Instruction], arguments: dict[str, str]) -> Iterator[Stage]:
    starts = [number for number, each in enumerate(found) if each.name == "FROM"]
    known = dict(assignment(each.rest) for each in found[: starts[0]]) | arguments
    for start, end in zip(starts, [*starts[1:], len(found)], strict=True):
        base, _, name = expand(found[start].rest, known).partition(" AS ")
        yield Stage(name, base, tuple(found[start + 1 : end]))
