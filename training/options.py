"""Options of a training run: folders, and how it starts."""

from dataclasses import dataclass
from pathlib import Path

from training.runs import RunFolder


@dataclass(frozen=True)
class Options:
    """Options that are not part of the recipe.

    `limit` is the number of images to read of each part; None for all.
    """

    data_dir: Path
    models_dir: Path
    runs_dir: Path
    device: str
    seed: int
    split_seed: int
    limit: int | None
    resume: bool
    restart: bool
    overwrite: bool

    def run_folder(self, name: str) -> RunFolder:
        """Return the folder of the run of that name."""
        return RunFolder(self.runs_dir / name)
