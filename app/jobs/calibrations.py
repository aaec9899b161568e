"""Calibrations of the painting cost on this host, measured once and kept in a file."""

import math
from dataclasses import asdict
from pathlib import Path

import structlog

from app.files import JsonFile
from app.style.estimate import Calibration

log = structlog.stdlib.get_logger(__name__)


class Calibrations:
    """A JSON file of calibrations by key. A damaged file is ignored."""

    def __init__(self, path: Path) -> None:
        self._file = JsonFile(path)

    def find(self, key: str) -> Calibration | None:
        """Return the stored calibration of a key, if there is one."""
        try:
            found = Calibration(**self._file.get(key))
            sound = all(0 <= each < math.inf for each in vars(found).values()) and found.pixel_s > 0
        except TypeError:
            return None
        return found if sound else None

    def keep(self, key: str, calibration: Calibration) -> None:
        """Store a calibration. If the disk is full, it is measured again at the next start."""
        try:
            self._file.put(key, asdict(calibration))
        except OSError as error:
            log.warning("the calibration cannot be stored", error=str(error))
