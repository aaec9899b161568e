"""Creation of jobs: first the files are stored, then the row that names them."""

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
from app.api.auth.rate_limit import RateLimiter
from app.api.problems import ApiError, ProblemType
from app.api.threads import in_storage, in_store
from app.jobs.cleanup import remove_files
from app.jobs.errors import (
    FilesTooLargeError,
    IdempotencyError,
    JobQueueFullError,
    QuotaError,
    ResultExpiredError,
    StorageFullError,
    StorageOfflineError,
    StorageUnavailableError,
    StoreUnavailableError,
)
from app.jobs.model import Job, JobKind, NewJob, folder_of
from app.jobs.storage.base import FileStorage
from app.jobs.storage.spool import Incoming, Spool
from app.jobs.store import JobStore

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StillReceivingError(ApiError):
    """The first request with this idempotency key is still being received."""

    problem_type = ProblemType(
        409, "still_receiving", "The first request still arrives", retry_after_s=1
    )


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
"""Errors of every request that creates a job."""


@dataclass(frozen=True)
class JobRequest:
    """The content of a request for a job: its fields, as JSON can have them, and its files."""

    kind: JobKind
    fields: Mapping[str, Any]
    files: Mapping[str, bytes | Incoming] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a digest that is the same for the same request, sent again."""
        digests = {name: _digest(data) for name, data in self.files.items()}
        content = json.dumps([self.kind, self.fields, digests], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class JobDraft:
    """A job before it is stored. `files` are uploads, or keys of stored files."""

    job_request: JobRequest
    options: Mapping[str, Any]
    files: Mapping[str, bytes | Incoming | str]
    estimate_s: float | None = None


@dataclass(frozen=True)
class Sender:
    """The client of a request that creates a job.

    `caller` owns the job, `flow` is the key of fair sharing, and `key` is the idempotency key, if
    there is one.
    """

    caller: str
    flow: str
    key: str | None


class Submissions:
    """Creation of jobs of every kind."""

    def __init__(
        self,
        store: JobStore,
        storage: FileStorage,
        spool: Spool,
        rate_limiter: RateLimiter,
        *,
        min_free_bytes: int,
        on_queued: Callable[[], None],
    ) -> None:
        """Use these services; `on_queued` is called on the event loop after each new job."""
        self._store = store
        self._storage = storage
        self._spool = spool
        self._rate_limiter = rate_limiter
        self._min_free_bytes = min_free_bytes
        self._on_queued = on_queued
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def holding_key(self, sender: Sender) -> Iterator[None]:
        """Reserve the sender's idempotency key for the duration of the request.

        Raises:
            StillReceivingError: another request has reserved it.
        """
        if sender.key is None:
            yield
            return
        held = (sender.caller, sender.key)
        if held in self._keys:
            raise StillReceivingError(
                "The first request with this Idempotency-Key is still being received. Try again "
                "later."
            )
        self._keys.add(held)
        try:
            yield
        finally:
            self._keys.discard(held)

    async def check_room(self, sender: Sender) -> None:
        """Check for room before the request's body is received.

        For a request whose key has created a job before, only the rate limit applies.

        Raises:
            RateLimitedError: the caller has sent too many such requests in this minute.
            JobQueueFullError: too many jobs wait.
            QuotaError: the caller's files use the whole quota.
            StorageFullError: the disk has too little free space.
        """
        await self._rate_limiter.take_submission(sender.caller)
        await in_store(self._check_room, sender)

    async def made_before(self, sender: Sender, job_request: JobRequest) -> Job | None:
        """Return the job that this request's key created before, if there is one.

        Raises:
            IdempotencyError: the key was used for another request.
        """
        if sender.key is None:
            return None
        fingerprint = await run_in_threadpool(job_request.fingerprint)
        return await in_store(self._store.made_before, sender.caller, sender.key, fingerprint)

    async def create(self, sender: Sender, draft: JobDraft) -> Job:
        """Store the files and queue the job, or return the job that this key created meanwhile.

        Raises:
            JobQueueFullError: too many jobs wait.
            QuotaError: the caller's files would exceed the quota.
            FilesTooLargeError: these files alone would exceed it.
            StorageFullError: the disk has too little free space.
            StorageUnavailableError: the files cannot be stored at the moment.
            IdempotencyError: the key was used for another request.
            ResultExpiredError: the files of the painting to continue have been removed.
        """
        job = await in_storage(self._create, sender, draft)
        self._on_queued()
        return job

    def _check_room(self, sender: Sender) -> None:
        if sender.key is not None and self._store.knows(sender.caller, sender.key):
            return
        self._store.check_room(sender.caller)
        if self._spool.free_bytes() < self._min_free_bytes:
            raise StorageFullError("The disk is nearly full. The operator has to free space.")

    def _create(self, sender: Sender, draft: JobDraft) -> Job:
        """Store the files, then the row; after a failure, remove files that no row can name."""
        new = NewJob(
            id=uuid.uuid4().hex,
            kind=draft.job_request.kind,
            owner=sender.caller,
            options=draft.options,
            inputs={},
            estimate_s=draft.estimate_s,
            request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
            idempotency_key=sender.key,
            fingerprint=draft.job_request.fingerprint() if sender.key else None,
        )
        folder = folder_of(new.id)
        keep = False
        try:
            inputs = {
                name: self._put(f"{folder}/0/{name}", data) for name, data in draft.files.items()
            }
            stored_bytes = sum(self._storage.size_bytes(key) for key in inputs.values())
            job, keep = self._store.create(replace(new, inputs=inputs, stored_bytes=stored_bytes))
        except StorageOfflineError as error:
            keep = True  # maintenance removes the files later; this client has waited long enough
            raise _storage_error(error) from error
        except StoreUnavailableError:
            keep = True  # the row may exist: only the response may be lost
            raise
        except OSError as error:
            raise _storage_error(error) from error
        finally:
            if not keep:
                remove_files(new.id, self._storage)
        return job

    def _put(self, key: str, data: bytes | Incoming | str) -> str:
        if isinstance(data, Incoming):
            return self._storage.put_file(key, data.path)
        if isinstance(data, str):
            try:
                return self._storage.copy(data, key)
            except FileNotFoundError as error:
                raise ResultExpiredError("The painting has just been removed.") from error
        return self._storage.put(key, data)


def _digest(data: bytes | Incoming) -> str:
    return data.sha256 if isinstance(data, Incoming) else hashlib.sha256(data).hexdigest()


def _storage_error(error: OSError) -> StorageFullError | StorageUnavailableError:
    kind = StorageFullError if error.errno in _FULL else StorageUnavailableError
    return kind(f"the files cannot be stored: {error.strerror}")
