"""Storage factory: opens the storage that the settings name."""

from dataclasses import dataclass
from pathlib import Path

from app.jobs.errors import StorageUrlError
from app.jobs.storage.base import FileStorage
from app.jobs.storage.local import LocalStorage


@dataclass(frozen=True)
class StorageOptions:
    """The place of the jobs' files: a folder of this host, unless a URL names an object store.

    If `links` is set, clients download results from the store itself, at `public_url` if it differs
    from the service's own URL. `timeout_s` is the time to wait for the store.
    """

    folder: Path
    url: str | None = None
    timeout_s: float = 5.0
    links: bool = True
    public_url: str | None = None


def open_storage(options: StorageOptions) -> FileStorage:
    """Open the storage in the process that uses it: connections do not survive a fork.

    Raises:
        StorageUrlError: the URL is not usable.
    """
    if options.url is None:
        return LocalStorage(options.folder)
    try:
        from app.jobs.storage.object_store import ObjectStorage  # noqa: PLC0415 - a single host lacks it
    except ImportError as error:
        raise StorageUrlError(
            "ATELIER_BLOBS_URL needs an optional package: pip install 'atelier[fleet]'"
        ) from error
    return ObjectStorage(
        options.url,
        scratch=options.folder / "scratch",
        timeout_s=options.timeout_s,
        links=options.links,
        public_url=options.public_url,
    )
