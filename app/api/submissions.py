"""Takes new jobs in: the files first, then the row that names them."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from app.jobs.blobs import Blobs
from app.jobs.errors import StorageFullError
from app.jobs.job import Job, JobKind, NewJob, folder_of
from app.jobs.store import JobStore
from app.vision.errors import AtelierError

MAX_KEY_LENGTH = 200


class StillReceivingError(AtelierError):
    """The first request with this idempotency key is still being received."""


@dataclass(frozen=True)
class Order:
    """What is to be done, and how its request is told from others.

    `files` are bytes, or the keys of blobs that are there already. `request` is all that was asked
    for, as JSON can have it.
    """

    kind: JobKind
    options: Mapping[str, Any]
    files: Mapping[str, bytes | str]
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

    async def check_room(self, owner: str) -> None:
        """Refuse early, before a request's body is received.

        Raises:
            JobQueueFullError: too many jobs wait.
            StorageFullError: too little disk is free.
        """
        await run_in_threadpool(self._check_room, owner)

    async def create(self, owner: str, key: str | None, order: Order) -> Job:
        """Store the files and queue the job, or find the job that this key made before.

        Raises:
            JobQueueFullError: too many jobs wait.
            StorageFullError: too little disk is free.
            IdempotencyError: the key was used for another request.
        """
        return await run_in_threadpool(self._create, owner, key, order)

    def _check_room(self, owner: str) -> None:
        self._store.check_room(owner)
        if self._blobs.free_bytes() < self._min_free_bytes:
            raise StorageFullError("the disk is nearly full; the operator has to make room")

    def _create(self, owner: str, key: str | None, order: Order) -> Job:
        job_id = uuid.uuid4().hex
        folder = f"{folder_of(job_id)}/0"
        created = False
        try:
            new = NewJob(
                id=job_id,
                kind=order.kind,
                owner=owner,
                options=order.options,
                inputs={name: self._put(folder, name, data) for name, data in order.files.items()},
                estimate_s=order.estimate_s,
                request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
                idempotency_key=key,
                fingerprint=_fingerprint(order) if key else None,
            )
            job, created = self._store.create(new)
        except OSError as error:
            raise StorageFullError(f"the files cannot be stored: {error.strerror}") from error
        finally:
            if not created:
                self._blobs.keep_only(folder_of(job_id), set())
        return job

    def _put(self, folder: str, name: str, data: bytes | str) -> str:
        if isinstance(data, str):
            return self._blobs.copy(data, f"{folder}/{name}")
        return self._blobs.put(f"{folder}/{name}", data)


def _fingerprint(order: Order) -> str:
    files = {
        name: data if isinstance(data, str) else hashlib.sha256(data).hexdigest()
        for name, data in order.files.items()
    }
    asked = json.dumps([order.kind, order.request, files], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()
