"""Opens the files of jobs where the settings say that they are."""

from dataclasses import dataclass
from pathlib import Path

from app.jobs.blobs import Blobs
from app.jobs.folder import Folder


@dataclass(frozen=True)
class BlobOptions:
    """Where the files of jobs are: in a folder of this host."""

    folder: Path


def open_blobs(options: BlobOptions) -> Blobs:
    """Open them; nothing is read or written yet."""
    return Folder(options.folder)
