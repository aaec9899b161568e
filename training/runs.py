"""The folder of a run: its figures, its result and, until it is complete, its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.errors import AtelierError
from app.files import atomic_write, remove_unfinished


class RunError(AtelierError):
    """An interrupted run is in the way, cannot be resumed, or does not exist."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def interrupted(self) -> bool:
        """Return whether there is an interrupted run."""
        return self._last.exists()

    def save(self, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Save the state of the run atomically.

        `identity` is everything that determines the result of the run: options and data.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._last) as file:
            torch.save({"identity": dict(identity), "state": dict(state)}, file)

    def load(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Load the state of the interrupted run.

        Raises:
            RunError: it is missing or damaged, or has another identity.
        """
        try:
            saved = torch.load(self._last, map_location="cpu", weights_only=True)
            started, state = saved["identity"], dict(saved["state"])
        except Exception as error:  # torch.load raises almost any type of error on damaged files
            raise RunError(f"{self._last} cannot be read; discard it with --restart") from error
        changed = [
            f"{name} was {started.get(name)}, now {value}"
            for name, value in identity.items()
            if started.get(name) != value
        ]
        if changed:
            raise RunError(
                f"the interrupted run in {self.path} cannot go on: {'; '.join(changed)}; "
                "give the same options and data, or discard it by --restart"
            )
        return state

    def prepare(self, *, resume: bool, restart: bool) -> None:
        """Prepare the folder for a run that resumes, discards, or expects no interrupted one.

        Raises:
            RunError: an interrupted run is missing or in the way.
        """
        if restart:
            self.complete()
        if resume and not self.interrupted:
            raise RunError(f"there is no interrupted run in {self.path}; start without --resume")
        if self.interrupted and not resume:
            raise RunError(
                f"there is an interrupted run in {self.path}; go on with it by --resume, or "
                "discard it by --restart"
            )

    def complete(self) -> None:
        """Delete the state of the run, and unfinished files of a killed process."""
        self._last.unlink(missing_ok=True)
        remove_unfinished(self.path)

    @property
    def _last(self) -> Path:
        return self.path / "last.pt"


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; raise RunError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {folder} cannot be created: {error.strerror}") from error
