"""Labels from folder names: every file belongs to the class named by its folder."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import takewhile, zip_longest
from pathlib import Path, PurePosixPath

from app.evaluation.errors import NoLabeledFilesError
from app.evaluation.sources import ImageArchive, ImageFolder, ImageSource
from app.limits import ArchiveLimits

ClassOf = Callable[[str], int | None]
"""Function from the name of a folder to the index of its class."""

_Path = tuple[str, ...]

_SHOWN = 10
_DESKTOP_FILES = ("__MACOSX", "Thumbs.db", "desktop.ini")  # added to archives by desktops


@dataclass(frozen=True)
class LabeledFile:
    """A file and the index of its class."""

    name: str
    label: int


@dataclass(frozen=True)
class SkippedFile:
    """A file that is excluded from the evaluation, and the reason."""

    filename: str
    reason: str


@dataclass(frozen=True)
class LabeledSet:
    """The labeled files of a data set.

    `files` are in a random but reproducible order, so that any prefix is a representative sample.
    `unknown_folders` counts the files of each folder that is not a class.
    """

    files: Sequence[LabeledFile]
    skipped: Sequence[SkippedFile]
    unknown_folders: Counter[str]

    @property
    def digest(self) -> str:
        """Hash of the files and classes, in order."""
        known = json.dumps([[file.name, file.label] for file in self.files])
        return hashlib.sha256(known.encode()).hexdigest()


def open_source(path: Path, limits: ArchiveLimits) -> AbstractContextManager[ImageSource]:
    """Open a folder or an archive.

    Raises:
        ArchiveError, ArchiveTooLargeError: as `ImageArchive` and `ImageFolder` do.
    """
    return nullcontext(ImageFolder(path)) if path.is_dir() else ImageArchive(path, limits)


def label_files(names: Iterable[str], class_of: ClassOf) -> LabeledSet:
    """Find the class of every file.

    The class folders may be nested in common parent folders, as in `pets/test/cat/1.jpg`, and may
    contain folders; files beside the parent folders are ignored. A file in folders of two classes
    is skipped. Hidden files and files of desktop environments are ignored.

    Raises:
        NoLabeledFilesError: no file has a class, or a common parent folder is named after one class
            and folders in it after others.
    """
    class_of = cache(class_of)
    by_parts: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        by_parts.setdefault(_parts(name), []).append(name)
    counts = {spellings[0]: len(spellings) for spellings in by_parts.values()}
    placed = {
        spellings[0]: parts
        for parts, spellings in by_parts.items()
        if not any(map(_is_hidden, parts))
    }
    depth = _depth({tuple(folders) for *folders, _ in placed.values() if folders}, class_of)
    files: list[LabeledFile] = []
    skipped = [
        SkippedFile(name, f"the name occurs {count} times; only the first file is used")
        for name, count in counts.items()
        if count > 1
    ]
    unknown = Counter[str]()
    for name, (*folders, _) in placed.items():
        if len(folders) <= depth:
            skipped.append(SkippedFile(name, "the file is not in a class folder"))
        elif (found := class_of(folders[depth])) is None:
            unknown[folders[depth]] += 1
            skipped.append(SkippedFile(name, f"{folders[depth]!r} is not a class of the model"))
        elif other := _other_class(found, folders[depth + 1 :], class_of):
            reason = f"the file is in folders of two classes, {folders[depth]!r} and {other!r}"
            skipped.append(SkippedFile(name, reason))
        else:
            files.append(LabeledFile(name, found))
    if not files:
        shown = ", ".join(map(repr, sorted(unknown)[:_SHOWN])) or "none"
        raise NoLabeledFilesError(
            f"No file is in a folder named after a class of the model. Folders: {shown}."
        )
    files.sort(key=lambda file: file.name)
    random.Random(0).shuffle(files)  # noqa: S311 - an order, not a secret
    return LabeledSet(files, skipped, unknown)


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts or (name,)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part in _DESKTOP_FILES


def _other_class(label: int, folders: Sequence[str], class_of: ClassOf) -> str | None:
    """Return the first folder named after another class."""
    return next((each for each in folders if class_of(each) not in (None, label)), None)


def _depth(paths: Set[_Path], class_of: ClassOf) -> int:
    """Return the number of parent folders of the class folders."""
    ordered = sorted(paths)
    innermost = [  # a parent folder is followed by one of its children
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
        raise NoLabeledFilesError(
            f"The folder {shared[outer]!r} is named after a class, and so is {named[-1]!r} in it. "
            "Rename the outer folder."
        )
    return outer
