"""Takes new jobs in: the files first, then the row that names them."""

import errno
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from app.api.auth.concurrency import TooManyAtOnceError
from app.api.auth.rate_limit import Allowance
from app.api.threads import in_blobs, in_store
from app.errors import AtelierError
from app.jobs.cleanup import remove_files
from app.jobs.errors import (
    BlobsAwayError,
    FilesTooLargeError,
    IdempotencyError,
    JobQueueFullError,
    QuotaError,
    ResultExpiredError,
    StorageFullError,
    StorageUnavailableError,
    StoreUnavailableError,
)
from app.jobs.model import Job, JobKind, NewJob, folder_of
from app.jobs.storage.base import Blobs
from app.jobs.storage.spool import Incoming, Spool
from app.jobs.store import JobStore

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StillReceivingError(AtelierError):
    """The first request with this idempotency key is still being received."""


JOB_REFUSALS = (
    IdempotencyError,
    StillReceivingError,
    JobQueueFullError,
    QuotaError,
    TooManyAtOnceError,
    FilesTooLargeError,
    StorageFullError,
    StorageUnavailableError,
    StoreUnavailableError,
)
"""What may keep a request from making a job, whatever it asks for."""


@dataclass(frozen=True)
class Asked:
    """What a request asked for: all by which it is told from others.

    `request` is its fields, as JSON can have them, and `files` what it sent.
    """

    kind: JobKind
    request: Mapping[str, Any]
    files: Mapping[str, bytes | Incoming] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return the same for the same request, sent again."""
        digests = {name: _digest(data) for name, data in self.files.items()}
        asked = json.dumps([self.kind, self.request, digests], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(frozen=True)
class Order:
    """What is to be done. `files` are what was sent, or keys of blobs that are there already."""

    asked: Asked
    options: Mapping[str, Any]
    files: Mapping[str, bytes | Incoming | str]
    estimate_s: float | None = None


class Submissions:
    """The way in for every kind of job."""

    def __init__(
        self,
        store: JobStore,
        blobs: Blobs,
        spool: Spool,
        allowance: Allowance,
        min_free_bytes: int,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._spool = spool
        self._allowance = allowance
        self._min_free_bytes = min_free_bytes
        self._queued: Callable[[], None] = lambda: None
        self._keys: set[tuple[str, str]] = set()

    def listen(self, queued: Callable[[], None]) -> None:
        """Have something called, on the event loop, whenever a job was made."""
        self._queued = queued

    @contextmanager
    def receiving(self, owner: str, key: str | None) -> Iterator["Receiving"]:
        """Receive one request of a caller's; its idempotency key is held meanwhile.

        Raises:
            StillReceivingError: another request holds it.
        """
        receiving = Receiving(
            self._store,
            self._blobs,
            self._spool,
            self._allowance,
            self._min_free_bytes,
            self._queued,
            owner,
            key,
        )
        if key is None:
            yield receiving
            return
        if (owner, key) in self._keys:
            raise StillReceivingError("the first request with this Idempotency-Key still arrives")
        self._keys.add((owner, key))
        try:
            yield receiving
        finally:
            self._keys.discard((owner, key))


@dataclass(frozen=True)
class Receiving:
    """One request that makes a job."""

    store: JobStore
    blobs: Blobs
    spool: Spool
    allowance: Allowance
    min_free_bytes: int
    queued: Callable[[], None]
    owner: str
    key: str | None

    async def check_room(self) -> None:
        """Refuse early, before a request's body is received.

        Only the rate limit holds for a request whose key has made a job before.

        Raises:
            RateLimitedError: the caller has sent too many such requests in this minute.
            JobQueueFullError: too many jobs wait.
            QuotaError: the caller's files take all the room there is for them.
            StorageFullError: too little disk is free.
        """
        await self.allowance.take_submission(self.owner)
        await in_store(self._check_room)

    async def made_before(self, asked: Asked) -> Job | None:
        """Find the job that this request's key made before, whatever has changed since.

        Raises:
            IdempotencyError: the key was used for another request.
        """
        if self.key is None:
            return None
        fingerprint = await run_in_threadpool(asked.fingerprint)
        return await in_store(self.store.made_before, self.owner, self.key, fingerprint)

    async def create(self, order: Order) -> Job:
        """Store the files and queue the job, or find the job that this key made meanwhile.

        Raises:
            JobQueueFullError: too many jobs wait.
            QuotaError: the caller's files would take too much room.
            FilesTooLargeError: these files alone would.
            StorageFullError: too little disk is free.
            StorageUnavailableError: the files cannot be stored for now.
            IdempotencyError: the key was used for another request.
            ResultExpiredError: the files that are to be gone on with are gone.
        """
        job = await in_blobs(self._create, order)
        self.queued()
        return job

    def _check_room(self) -> None:
        if self.key is not None and self.store.knows(self.owner, self.key):
            return
        self.store.check_room(self.owner)
        if self.spool.free_bytes() < self.min_free_bytes:
            raise StorageFullError("the disk is nearly full; the operator has to make room")

    def _create(self, order: Order) -> Job:
        """Store the files, then the row; if that fails, neither, as far as it can be known."""
        new = NewJob(
            id=uuid.uuid4().hex,
            kind=order.asked.kind,
            owner=self.owner,
            options=order.options,
            inputs={},
            estimate_s=order.estimate_s,
            request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
            idempotency_key=self.key,
            fingerprint=order.asked.fingerprint() if self.key else None,
        )
        folder = folder_of(new.id)
        keep = False
        try:
            inputs = {
                name: self._put(f"{folder}/0/{name}", data) for name, data in order.files.items()
            }
            stored_bytes = sum(self.blobs.size_bytes(key) for key in inputs.values())
            job, keep = self.store.create(replace(new, inputs=inputs, stored_bytes=stored_bytes))
        except BlobsAwayError as error:
            keep = True  # what is there is swept later: this client has waited long enough
            raise _storage_error(error) from error
        except StoreUnavailableError:
            keep = True  # only the answer may be lost, and the row be there
            raise
        except OSError as error:
            raise _storage_error(error) from error
        finally:
            if not keep:
                remove_files(new.id, self.blobs)
        return job

    def _put(self, key: str, data: bytes | Incoming | str) -> str:
        if isinstance(data, Incoming):
            return self.blobs.put_file(key, data.path)
        if isinstance(data, str):
            try:
                return self.blobs.copy(data, key)
            except FileNotFoundError as error:
                raise ResultExpiredError("the painting has just been removed") from error
        return self.blobs.put(key, data)


def _digest(data: bytes | Incoming) -> str:
    return data.sha256 if isinstance(data, Incoming) else hashlib.sha256(data).hexdigest()


def _storage_error(error: OSError) -> StorageFullError | StorageUnavailableError:
    kind = StorageFullError if error.errno in _FULL else StorageUnavailableError
    return kind(f"the files cannot be stored: {error.strerror}")
