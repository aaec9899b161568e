"""Calibrations of the painting cost on this host, measured once and kept in a file."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from app.jobs.storage.atomic import make_folder, write
from app.style.estimate import Calibration

log = structlog.stdlib.get_logger(__name__)


class Calibrations:
    """A JSON file of calibrations by key. A damaged file is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Calibration | None:
        """Return the stored calibration of a key, if there is one."""
        try:
            found = Calibration(**self._read()[key])
            sound = all(0 <= each < math.inf for each in vars(found).values()) and found.pixel_s > 0
        except (KeyError, TypeError):
            return None
        return found if sound else None

    def keep(self, key: str, calibration: Calibration) -> None:
        """Store a calibration. If the disk is full, it is measured again at the next start."""
        text = json.dumps({**self._read(), key: asdict(calibration)}, indent=2)
        try:
            make_folder(self._path.parent)
            write(self._path, text.encode())
        except OSError as error:
            log.warning("the calibration cannot be stored", error=str(error))

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
