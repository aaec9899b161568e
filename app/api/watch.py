"""Job changes for event streams: one poller for all streams of this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from app.api.threads import in_store
from app.jobs.errors import StoreUnavailableError
from app.jobs.model import Job, JobStatus
from app.jobs.store import JobStore, QueuePosition

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class JobSnapshot:
    """A job as last seen, with its place in the queue while it waits."""

    job: Job
    queue_position: QueuePosition | None = None

    def differs(self, known: "JobSnapshot") -> bool:
        """Return whether this differs from another snapshot for a client."""
        if self.job.version != known.job.version:
            return self.job.version > known.job.version
        return self._position != known._position

    @property
    def _position(self) -> int | None:
        return self.queue_position.position if self.queue_position else None


class JobWatch:
    """A watcher of jobs. Belongs to one event loop. `run` polls while there are streams."""

    def __init__(self, store: JobStore, poll_s: float) -> None:
        self._store = store
        self._poll_s = poll_s
        self._followers: Counter[str] = Counter()
        self._latest: Mapping[str, JobSnapshot | None] = {}
        self._news = asyncio.Condition()
        self._closed = False

    async def run(self) -> None:
        """Poll until canceled."""
        while True:
            await asyncio.sleep(self._poll_s)
            followed = list(+self._followers)
            if not followed:
                continue
            try:
                self._latest = await in_store(self._look, followed)
            except StoreUnavailableError as error:
                log.warning("the job store does not answer", error=str(error))
                continue
            except Exception:  # streams wait; the next poll may succeed
                log.exception("polling of jobs failed")
                continue
            async with self._news:
                self._news.notify_all()

    async def follow(self, job: Job) -> AsyncIterator[JobSnapshot]:
        """Yield the job, then each change, until the job ends.

        The iterator ends early when the job is removed or the service stops.
        """
        self._followers[job.id] += 1
        try:
            seen = await self._first(job)
            yield seen
            while not seen.job.status.is_terminal:
                async with self._news:
                    while not (self._closed or self._has_news(seen)):
                        await self._news.wait()
                latest = self._latest.get(job.id)
                if self._closed or latest is None:
                    return
                seen = latest
                yield seen
        finally:
            self._followers[job.id] -= 1
            self._followers = +self._followers

    async def ended(self, job: Job, timeout_s: float) -> Job:
        """Wait until the job ends or the timeout passes, and return the job."""
        try:
            async with asyncio.timeout(timeout_s):
                async for latest in self.follow(job):
                    job = latest.job
        except TimeoutError:
            pass
        return job

    async def close(self) -> None:
        """End all streams, because the service stops."""
        self._closed = True
        async with self._news:
            self._news.notify_all()

    async def _first(self, job: Job) -> JobSnapshot:
        if job.status is not JobStatus.QUEUED:
            return JobSnapshot(job)
        try:
            found = await in_store(self._look, [job.id])
        except StoreUnavailableError:  # its place in the queue is unknown at the moment
            return JobSnapshot(job)
        return found[job.id] or JobSnapshot(job)

    def _look(self, followed: Sequence[str]) -> Mapping[str, JobSnapshot | None]:
        found = self._store.find_many(followed)
        waits = any(job.status is JobStatus.QUEUED for job in found)
        queue_positions = self._store.queue_positions() if waits else {}
        seen = {job.id: JobSnapshot(job, queue_positions.get(job.id)) for job in found}
        return {job_id: seen.get(job_id) for job_id in followed}

    def _has_news(self, known: JobSnapshot) -> bool:
        if known.job.id not in self._latest:
            return False
        latest = self._latest[known.job.id]
        return latest is None or latest.differs(known)
