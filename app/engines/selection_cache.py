"""Cache of engine selections, in a JSON file."""

import contextlib
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import torch

from app.engines.engine import EngineKind
from app.files import JsonFile
from app.vision.device import describe

_PACKAGES = ("torch", "openvino")


@dataclass(frozen=True)
class CachedSelection:
    """The kind of the selected engine and the reason for its selection."""

    kind: EngineKind
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the selection as JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse a selection; raise KeyError or TypeError if it is invalid."""
        texts = (value["kind"]["name"], value["kind"]["dtype"], value["reason"])
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("expected strings")
        name, dtype, reason = texts
        return cls(EngineKind(name, dtype), reason)


class SelectionCache:
    """A JSON file of selections by key.

    A damaged file is ignored. A selection that cannot be written is made again at the next start.
    """

    def __init__(self, path: Path) -> None:
        self._file = JsonFile(path)

    def find(self, key: str) -> CachedSelection | None:
        """Return the selection of a key."""
        try:
            return CachedSelection.from_json(self._file.get(key))
        except (KeyError, TypeError):
            return None

    def put(self, key: str, selection: CachedSelection) -> None:
        """Store the selection of a key."""
        with contextlib.suppress(OSError):
            self._file.put(key, selection.to_json())


def host_description(device: torch.device) -> str:
    """Return the package versions, processor and device that a selection depends on."""
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
