"""Storage in an object store: S3, Google Cloud Storage, Azure, or a compatible one.

Credentials, region and endpoint come from the environment, under the names that each store's own
tools use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...). Connections do not survive a fork.
"""

import errno
import mimetypes
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import from_url

from app.files import make_folder
from app.jobs.errors import StorageOfflineError, StorageUrlError
from app.jobs.storage.base import PIECE_BYTES

log = structlog.stdlib.get_logger(__name__)

_SCHEMES = ("s3", "gs", "az")
_TYPES = {".webp": "image/webp"}  # some hosts do not know this type
_NO_BUCKET = "NoSuchBucket"  # S3's wording
_REQUEST_S = 3600.0
_UPLOAD_S = 60.0  # this timeout starts with the first byte that is sent
_UPLOADS_AT_ONCE = 4  # of a chunk of a file
_CHUNK_BYTES = 8_000_000
_LINK_LIFE = timedelta(hours=1)
_LONGEST_ERROR = 200


class StoredObject:
    """An object that is downloaded as it is read."""

    def __init__(self, store: Any, key: str) -> None:
        self._key = key
        with _as_files(key):
            found = obstore.get(store, key)
            self.size_bytes = int(found.meta["size"])
            self._chunks: Iterator[Any] = iter(found.stream(min_chunk_size=PIECE_BYTES))
        self._rest = memoryview(b"")

    def read(self) -> bytes:
        """Return the next chunk."""
        if not self._rest:
            with _as_files(self._key):
                self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:PIECE_BYTES], self._rest[PIECE_BYTES:]
        return bytes(piece)

    def close(self) -> None:
        """Stop reading."""
        self._chunks = iter(())


class ObjectStorage:
    """A storage in an object store, under the prefix of the URL."""

    def __init__(
        self,
        url: str,
        *,
        scratch: Path,
        timeout_s: float,
        links: bool = True,
        public_url: str | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            url: for example `s3://bucket/prefix`.
            scratch: a local folder for objects that need random access.
            timeout_s: seconds to wait for a byte, and for retries; an upload may take a minute.
            links: whether clients may download objects from the store itself.
            public_url: the endpoint for clients, if it differs.

        Raises:
            StorageUrlError: the URL or the environment is not usable.
        """
        self._store = _open(url, timeout_s)
        self._writing = _open(url, timeout_s, read_s=max(_UPLOAD_S, timeout_s))
        self._public = _open(url, timeout_s, endpoint=public_url) if public_url else self._store
        self._scratch = scratch
        self.origin = self._origin() if links else None

    def put(self, key: str, data: bytes, *, download_as: str | None = None) -> str:
        """Write an object.

        An existing one is kept: it is the same one, written by a request whose response was lost.
        """
        with _as_files(key), suppress(AlreadyExistsError):
            obstore.put(
                self._writing, key, data, mode="create", attributes=_attributes(key, download_as)
            )
        return key

    def put_file(self, key: str, path: Path) -> str:
        """Upload a local file in chunks, and return the key."""
        with _as_files(key), path.open("rb") as file:
            obstore.put(self._writing, key, file, max_concurrency=_UPLOADS_AT_ONCE)
        return key

    def get(self, key: str) -> bytes:
        """Return the contents of an object."""
        with _as_files(key):
            return bytes(obstore.get(self._store, key).bytes())

    def open(self, key: str) -> StoredObject:
        """Open an object."""
        return StoredObject(self._store, key)

    @contextmanager
    def at_hand(self, key: str, came: Callable[[], None]) -> Iterator[Path]:
        """Provide an object as a local file without a name, which disappears with this process."""
        make_folder(self._scratch)
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            with _as_files(key):
                for chunk in obstore.get(self._store, key).stream(min_chunk_size=_CHUNK_BYTES):
                    file.write(chunk)
                    came()
            file.flush()
            yield Path(f"/dev/fd/{file.fileno()}")

    def size_bytes(self, key: str) -> int:
        """Return the size of an object."""
        with _as_files(key):
            return int(obstore.head(self._store, key)["size"])

    def exists(self, key: str) -> bool:
        """Return whether an object exists."""
        try:
            self.size_bytes(key)
        except FileNotFoundError:
            return False
        return True

    def copy(self, key: str, new_key: str) -> str:
        """Copy an object within the store, and return the new key."""
        with _as_files(key):
            obstore.copy(self._writing, key, new_key)
        return new_key

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        with _as_files(key), suppress(NotFoundError):
            obstore.delete(self._store, key)

    def keep_only(self, folder: str, keys: set[str]) -> None:
        """Delete the objects of a folder except those listed."""
        self._delete_all([key for key, _ in self._listed(folder) if key not in keys])

    def older_than(self, folder: str, age_s: float) -> list[str]:
        """Return the keys of the objects in a folder that are older than an age."""
        latest = datetime.now(UTC) - timedelta(seconds=age_s)
        return [key for key, written in self._listed(folder) if written <= latest]

    def sweep(self, folder: str, age_s: float, choose: Callable[[set[str]], set[str]]) -> int:
        """Delete the chosen old objects."""
        orphans = choose(set(self.older_than(folder, age_s)))
        self._delete_all(sorted(orphans))
        return len(orphans)

    def link(self, key: str) -> str | None:
        """Return a signed URL that is valid for an hour."""
        if self.origin is None:
            return None
        with _as_files(key):
            return self._signed(key)

    def _origin(self) -> str | None:
        """Return the origin of signed links, or None if the credentials cannot sign links."""
        try:
            found = urlsplit(self._signed("any"))
        except BaseError as error:
            log.warning(
                "no links can be signed: clients download results through the service",
                error=_short(error),
            )
            return None
        return f"{found.scheme}://{found.netloc}"

    def _signed(self, key: str) -> str:
        return str(obstore.sign(self._public, "GET", key, _LINK_LIFE))

    def _listed(self, folder: str) -> Iterator[tuple[str, datetime]]:
        with _as_files(folder):
            for page in obstore.list(self._store, prefix=folder):
                for each in page:
                    yield each["path"], each["last_modified"]

    def _delete_all(self, keys: list[str]) -> None:
        if keys:
            with _as_files(keys[0]), suppress(NotFoundError):
                obstore.delete(self._store, keys)


def _open(
    url: str, timeout_s: float, *, read_s: float | None = None, endpoint: str | None = None
) -> Any:
    options: dict[str, Any] = {"config": {"endpoint": endpoint}} if endpoint else {}
    if urlsplit(url).scheme not in _SCHEMES:
        raise _unusable(f"it begins with none of {', '.join(_SCHEMES)}")
    try:
        return from_url(
            url,
            client_options={
                "connect_timeout": timedelta(seconds=timeout_s),
                "read_timeout": timedelta(seconds=read_s or timeout_s),
                "timeout": timedelta(seconds=_REQUEST_S),
                "allow_http": True,
            },
            retry_config={
                "max_retries": 100,
                "retry_timeout": timedelta(seconds=timeout_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=3),
                    "base": 2,
                },
            },
            **options,
        )
    except (BaseError, ValueError) as error:
        raise _unusable(_short(error)) from error


def _unusable(why: str) -> StorageUrlError:
    return StorageUrlError(
        f"ATELIER_BLOBS_URL names no object store that can be used: {why}; leave it out, or give "
        "it as s3://bucket/folder, with credentials in AWS_* variables"
    )


def _attributes(key: str, download_as: str | None) -> Any:
    known = _TYPES.get(Path(key).suffix) or mimetypes.guess_type(key)[0]
    media_type = known or "application/octet-stream"
    found = {"Content-Type": media_type}
    if download_as:
        found["Content-Disposition"] = f'attachment; filename="{download_as}"'
    return found


@contextmanager
def _as_files(key: str) -> Iterator[None]:
    """Convert the errors of the store to OSError."""
    try:
        yield
    except BaseError as error:
        if isinstance(error, NotFoundError) and _NO_BUCKET not in str(error):
            raise FileNotFoundError(errno.ENOENT, "there is no such object", key) from error
        log.warning("the object store fails", key=key, error=_short(error))  # not shown to clients
        raise StorageOfflineError(errno.EIO, "the object store does not answer", key) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_ERROR]
