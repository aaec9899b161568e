"""The data sets that an operator has put on the host: a folder each, with class folders in it."""

from dataclasses import dataclass
from pathlib import Path

from app.evaluation.errors import UnknownDatasetError
from app.evaluation.sources import as_text


@dataclass(frozen=True)
class Dataset:
    """A data set by name, with the names of the folders in it."""

    name: str
    folders: tuple[str, ...]


def list_datasets(root: Path) -> list[Dataset]:
    """List the folders that have folders in them, by name; none where `root` is missing.

    A folder whose own name is not UTF-8 is left out: no request could name it.
    """
    found = [
        Dataset(path.name, tuple(as_text(Path(each.name)) for each in _folders(path)))
        for path in _folders(root)
        if path.name == as_text(Path(path.name))
    ]
    return [dataset for dataset in found if dataset.folders]


def find_dataset(root: Path, name: str) -> Path:
    """Find a data set's folder.

    Raises:
        UnknownDatasetError: the name is not in the list.
    """
    names = [dataset.name for dataset in list_datasets(root)]
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise UnknownDatasetError(f"there is no data set {name!r}; the data sets are: {known}")
    return root / name


def _folders(path: Path) -> list[Path]:
    try:
        found = [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)
