"""Opens the files of jobs where the settings say that they are."""

from dataclasses import dataclass
from pathlib import Path

from app.jobs.errors import StorageUrlError
from app.jobs.storage.base import FileStorage
from app.jobs.storage.local import LocalStorage


@dataclass(frozen=True)
class StorageOptions:
    """The place of the jobs' files: a folder of this host, unless a URL names an object store.

    Clients fetch results from the store itself if `links` says so, at `public_url` where that is
    not the URL that the service uses; `timeout_s` is how long to wait for it.
    """

    folder: Path
    url: str | None = None
    timeout_s: float = 5.0
    links: bool = True
    public_url: str | None = None


def open_storage(options: StorageOptions) -> FileStorage:
    """Open them, in the process that uses them: an object store does not survive a fork.

    Raises:
        BlobsUrlError: the URL names nothing that can be used.
    """
    if options.url is None:
        return LocalStorage(options.folder)
    try:
        from app.jobs.storage.object_store import ObjectStorage  # noqa: PLC0415 - a single host lacks it
    except ImportError as error:
        raise StorageUrlError(
            "ATELIER_BLOBS_URL needs what a single host does not: pip install 'atelier[fleet]'"
        ) from error
    return ObjectStorage(
        options.url,
        scratch=options.folder / "scratch",
        timeout_s=options.timeout_s,
        links=options.links,
        public_url=options.public_url,
    )
