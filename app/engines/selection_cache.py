"""A cache of engine selections, in a file."""

import contextlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import torch

from app.engines.engine import Kind
from app.vision.checkpoint import atomic_write
from app.vision.device import describe

_PACKAGES = ("torch", "openvino")


@dataclass(frozen=True)
class Verdict:
    """The engine that was chosen, and why."""

    kind: Kind
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a verdict; raises KeyError or TypeError on anything else."""
        texts = (value["kind"]["name"], value["kind"]["dtype"], value["reason"])
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("expected texts")
        name, dtype, reason = texts
        return cls(Kind(name, dtype), reason)


class Verdicts:
    """A JSON file of verdicts by the circumstances under which they hold.

    A damaged file counts as none, and without room for a verdict it will be found again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Verdict | None:
        """Return what was kept under a key."""
        try:
            return Verdict.from_json(self._read()[key])
        except (KeyError, TypeError):
            return None

    def keep(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict."""
        text = json.dumps({**self._read(), key: verdict.to_json()}, indent=2)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path) as file:
                file.write(text.encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def circumstances(device: torch.device) -> str:
    """Name everything about this host on which a verdict depends."""
    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    return ", ".join((*versions, _processor(), describe(device)))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
