"""Takes new jobs in: the files first, then the row that names them."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from app.jobs.blobs import Blobs, Incoming
from app.jobs.errors import ResultExpiredError, StorageFullError
from app.jobs.job import Job, JobKind, NewJob, folder_of
from app.jobs.store import JobStore
from app.vision.errors import AtelierError

Content = bytes | str | Incoming


class StillReceivingError(AtelierError):
    """The first request with this idempotency key is still being received."""


@dataclass(frozen=True)
class Order:
    """What is to be done, and how its request is told from others.

    `files` are bytes, the keys of blobs that are there already, or what was received into a file.
    `request` is all that was asked for, as JSON can have it.
    """

    kind: JobKind
    options: Mapping[str, Any]
    files: Mapping[str, Content]
    request: Mapping[str, Any]
    estimate_s: float | None = None


class Submissions:
    """The way in for every kind of job."""

    def __init__(self, store: JobStore, blobs: Blobs, min_free_bytes: int) -> None:
        self._store = store
        self._blobs = blobs
        self._min_free_bytes = min_free_bytes
        self._receiving: set[tuple[str, str]] = set()

    @contextmanager
    def receiving(self, owner: str, key: str | None) -> Iterator[None]:
        """Hold an idempotency key while its request is being received.

        Raises:
            StillReceivingError: another request holds it.
        """
        if key is None:
            yield
            return
        if (owner, key) in self._receiving:
            raise StillReceivingError("the first request with this Idempotency-Key still arrives")
        self._receiving.add((owner, key))
        try:
            yield
        finally:
            self._receiving.discard((owner, key))

    async def check_room(self, owner: str, key: str | None) -> None:
        """Refuse early, before a request's body is received; not what a key has made before.

        Raises:
            JobQueueFullError: too many jobs wait.
            StorageFullError: too little disk is free.
        """
        await run_in_threadpool(self._check_room, owner, key)

    async def create(self, owner: str, key: str | None, order: Order) -> Job:
        """Store the files and queue the job, or find the job that this key made before.

        Raises:
            JobQueueFullError: too many jobs wait.
            StorageFullError: too little disk is free.
            IdempotencyError: the key was used for another request.
            ResultExpiredError: the files that are to be gone on with are gone.
        """
        return await run_in_threadpool(self._create, owner, key, order)

    def _check_room(self, owner: str, key: str | None) -> None:
        if key is not None and self._store.knows(owner, key):
            return
        self._store.check_room(owner)
        if self._blobs.free_bytes() < self._min_free_bytes:
            raise StorageFullError("the disk is nearly full; the operator has to make room")

    def _create(self, owner: str, key: str | None, order: Order) -> Job:
        new = NewJob(
            id=uuid.uuid4().hex,
            kind=order.kind,
            owner=owner,
            options=order.options,
            inputs={},
            estimate_s=order.estimate_s,
            request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
            idempotency_key=key,
            fingerprint=_fingerprint(order) if key else None,
        )
        before = self._store.made_before(new)
        return before if before is not None else self._store_whole(new, order)

    def _store_whole(self, new: NewJob, order: Order) -> Job:
        """Store the files, then the row; if that fails, neither."""
        folder = folder_of(new.id)
        created = False
        try:
            inputs = {
                name: self._put(f"{folder}/0/{name}", data) for name, data in order.files.items()
            }
            job, created = self._store.create(replace(new, inputs=inputs))
        except FileNotFoundError as error:
            raise ResultExpiredError("the painting has just been removed") from error
        except OSError as error:
            raise StorageFullError(f"the files cannot be stored: {error.strerror}") from error
        finally:
            if not created:
                self._blobs.keep_only(folder, set())
        return job

    def _put(self, key: str, data: Content) -> str:
        if isinstance(data, Incoming):
            return self._blobs.adopt(data, key)
        if isinstance(data, str):
            return self._blobs.copy(data, key)
        return self._blobs.put(key, data)


def _fingerprint(order: Order) -> str:
    files = {name: _identity(data) for name, data in order.files.items()}
    asked = json.dumps([order.kind, order.request, files], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _identity(data: Content) -> str:
    if isinstance(data, Incoming):
        return data.sha256
    return data if isinstance(data, str) else hashlib.sha256(data).hexdigest()
