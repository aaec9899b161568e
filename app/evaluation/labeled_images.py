"""Labelled images: every file belongs to the class that its folder is named after."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache
from itertools import takewhile, zip_longest
from pathlib import Path, PurePosixPath

from app.evaluation.errors import NothingLabelledError
from app.evaluation.sources import Archive, ArchiveLimits, Folder, Source

ClassOf = Callable[[str], int | None]
"""Name of a folder -> index of the class that it stands for."""

_Path = tuple[str, ...]

_SHOWN = 10
_LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")  # left in archives by desktops


@dataclass(frozen=True)
class LabelledFile:
    """A file and the index of its class."""

    name: str
    label: int


@dataclass(frozen=True)
class Skipped:
    """A file that counts for nothing, and why."""

    filename: str
    reason: str


@dataclass(frozen=True)
class Labels:
    """The labels that the folders give to their files, and the files without one.

    `files` are in an order that is random but always the same, so that a part of them, from the
    start, stands for all. `unknown_folders` counts the files of each folder that is no class.
    """

    files: Sequence[LabelledFile]
    skipped: Sequence[Skipped]
    unknown_folders: Counter[str]

    @property
    def digest(self) -> str:
        """Tell this order of files and classes from any other."""
        known = json.dumps([[file.name, file.label] for file in self.files])
        return hashlib.sha256(known.encode()).hexdigest()


def open_source(path: Path, limits: ArchiveLimits) -> Source:
    """Open a folder or an archive.

    Raises:
        ArchiveError, ArchiveTooLargeError: as `Archive` and `Folder` do.
    """
    return Folder(path) if path.is_dir() else Archive(path, limits)


def label(names: Iterable[str], class_of: ClassOf) -> Labels:
    """Find the class of every file.

    The class folders may lie in other folders that they all share, as in `pets/test/cat/1.jpg`, and
    have folders in them; files beside the folders around them do not matter. A file in folders of
    two classes counts for neither. Hidden files and what desktops leave behind are passed over.

    Raises:
        NothingLabelledError: no file has a class, or a folder that they all share is named after
            one and those in it after others.
    """
    class_of = cache(class_of)
    by_parts: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        by_parts.setdefault(_parts(name), []).append(name)
    times = {spelt[0]: len(spelt) for spelt in by_parts.values()}
    placed = {
        spelt[0]: parts for parts, spelt in by_parts.items() if not any(map(_is_litter, parts))
    }
    depth = _depth({tuple(folders) for *folders, _ in placed.values() if folders}, class_of)
    files: list[LabelledFile] = []
    skipped = [
        Skipped(name, f"the name comes {count} times; the first counts")
        for name, count in times.items()
        if count > 1
    ]
    unknown = Counter[str]()
    for name, (*folders, _) in placed.items():
        if len(folders) <= depth:
            skipped.append(Skipped(name, "it is in no class folder"))
        elif (found := class_of(folders[depth])) is None:
            unknown[folders[depth]] += 1
            skipped.append(Skipped(name, f"{folders[depth]!r} is not a class of the model"))
        elif other := _other_class(found, folders[depth + 1 :], class_of):
            reason = f"it is in {folders[depth]!r}, and in {other!r} inside: two classes"
            skipped.append(Skipped(name, reason))
        else:
            files.append(LabelledFile(name, found))
    if not files:
        shown = ", ".join(map(repr, sorted(unknown)[:_SHOWN])) or "none"
        raise NothingLabelledError(
            f"no file is in a folder named after a class of the model; the folders are: {shown}"
        )
    files.sort(key=lambda file: file.name)
    random.Random(0).shuffle(files)  # noqa: S311 - an order, not a secret
    return Labels(files, skipped, unknown)


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts or (name,)


def _is_litter(part: str) -> bool:
    return part.startswith(".") or part in _LITTER


def _other_class(label: int, folders: Sequence[str], class_of: ClassOf) -> str | None:
    """Return the first folder that is named after another class."""
    return next((each for each in folders if class_of(each) not in (None, label)), None)


def _depth(paths: Set[_Path], class_of: ClassOf) -> int:
    """Count the folders around the class folders."""
    ordered = sorted(paths)
    innermost = [  # a folder around others is followed by one of them
        path
        for path, after in zip_longest(ordered, ordered[1:], fillvalue=())
        if after[: len(path)] != path
    ]
    ends = zip(innermost[0], innermost[-1], strict=False) if innermost else ()
    shared = [first for first, last in takewhile(lambda pair: pair[0] == pair[1], ends)]
    inside = sorted({path[len(shared)] for path in innermost if len(path) > len(shared)})
    named = [folder for folder in [*shared, *inside] if class_of(folder) is not None]
    outer = next((depth for depth, folder in enumerate(shared) if folder in named), None)
    if outer is None:
        return len(shared) if inside else max(len(shared) - 1, 0)
    if len(set(map(class_of, named))) > 1:
        raise NothingLabelledError(
            f"the folder {shared[outer]!r} is named after a class, and so is {named[-1]!r} in it; "
            "name the outer one otherwise"
        )
    return outer
