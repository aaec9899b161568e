"""What a build gets to see of this project."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

from tests.service import ROOT


def is_ignored(path: Path) -> bool:
    """Return whether `.dockerignore` keeps a path of this project out of the build."""
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


def copy_from_context(source: Path, into: Path) -> None:
    """Copy a file or folder of this project, as COPY does, without what is ignored."""
    assert source.exists(), source
    assert not is_ignored(source), f".dockerignore keeps {source} out"
    if source.is_dir():
        shutil.copytree(source, into, ignore=_ignored_names, dirs_exist_ok=True)
    else:
        shutil.copy2(source, into)


def _ignored_names(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if is_ignored(Path(folder, name))}
