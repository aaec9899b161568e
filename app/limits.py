"""Limits on images, archives and jobs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLimits:
    """Size limits of one image."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


@dataclass(frozen=True)
class ArchiveLimits:
    """Size limits of one archive."""

    max_bytes: int = 2_000_000_000
    max_entries: int = 20_000


@dataclass(frozen=True)
class QueueLimits:
    """Limits on waiting jobs, and on the bytes of the files of one owner's jobs.

    `kept_s` is the retention time of a finished job's files, in seconds.
    """

    in_all: int
    per_owner: int
    bytes_per_owner: int | None = None
    kept_s: float = 0.0
