"""Data sets on the server: one folder per data set, with class folders in it."""

from dataclasses import dataclass
from pathlib import Path

from app.evaluation.errors import UnknownDatasetError
from app.evaluation.sources import as_text


@dataclass(frozen=True)
class Dataset:
    """The name of a data set and of the folders in it."""

    name: str
    folders: tuple[str, ...]


def list_datasets(root: Path) -> list[Dataset]:
    """List the folders that contain folders, by name; return none if `root` is missing.

    Folders whose name is not UTF-8 are omitted, because no request could name them.
    """
    found = [
        Dataset(path.name, tuple(as_text(Path(each.name)) for each in _folders(path)))
        for path in _folders(root)
        if path.name == as_text(Path(path.name))
    ]
    return [dataset for dataset in found if dataset.folders]


def find_dataset(root: Path, name: str) -> Path:
    """Return the folder of a data set.

    Raises:
        UnknownDatasetError: there is no data set of that name.
    """
    names = [dataset.name for dataset in list_datasets(root)]
    if name not in names:
        known = ", ".join(names) or "none"
        raise UnknownDatasetError(f"There is no data set {name!r}. Available data sets: {known}.")
    return root / name


def _folders(path: Path) -> list[Path]:
    try:
        found = [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)
