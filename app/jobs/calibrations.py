"""What painting costs on this host, measured once and kept in a file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.style.estimate import Calibration


class Calibrations:
    """A JSON file of calibrations by what they hold for. A damaged file counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Calibration | None:
        """Return what was measured before for this key."""
        try:
            return Calibration(**self._read()[key])
        except (KeyError, TypeError):
            return None

    def keep(self, key: str, calibration: Calibration) -> None:
        """Store a measurement."""
        text = json.dumps({**self._read(), key: asdict(calibration)}, indent=2)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
