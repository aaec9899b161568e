"""Follows jobs as they change: one poller for all the streams of this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import structlog
from starlette.concurrency import run_in_threadpool

from app.jobs.errors import StoreUnavailableError
from app.jobs.job import Job
from app.jobs.store import JobStore

log = structlog.stdlib.get_logger(__name__)


class JobWatch:
    """Belongs to one event loop. `run` polls while somebody follows something."""

    def __init__(self, store: JobStore, poll_s: float) -> None:
        self._store = store
        self._poll_s = poll_s
        self._followers: Counter[str] = Counter()
        self._latest: dict[str, Job | None] = {}
        self._news = asyncio.Condition()
        self._closed = False

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(self._poll_s)
            followed = list(+self._followers)
            if not followed:
                continue
            try:
                found = await run_in_threadpool(self._store.find_many, followed)
            except StoreUnavailableError as error:
                log.warning("the store does not answer", error=str(error))
                continue
            self._latest = {**dict.fromkeys(followed), **{job.id: job for job in found}}
            async with self._news:
                self._news.notify_all()

    async def follow(self, job: Job) -> AsyncIterator[Job]:
        """Yield the job, then what becomes of it, up to its end.

        Ends early when the job is removed or the service stops.
        """
        self._followers[job.id] += 1
        try:
            yield job
            while not job.status.is_terminal:
                async with self._news:
                    while not (self._closed or self._has_news(job)):
                        await self._news.wait()
                latest = self._latest.get(job.id)
                if self._closed or latest is None:
                    return
                job = latest
                yield job
        finally:
            self._followers[job.id] -= 1
            self._followers = +self._followers

    async def ended(self, job: Job, timeout_s: float) -> Job:
        """Wait for the job's end, or for the timeout; returns it as it is then."""
        try:
            async with asyncio.timeout(timeout_s):
                async for latest in self.follow(job):
                    job = latest
        except TimeoutError:
            pass
        return job

    async def close(self) -> None:
        """End all streams: the service stops."""
        self._closed = True
        async with self._news:
            self._news.notify_all()

    def _has_news(self, known: Job) -> bool:
        if known.id not in self._latest:
            return False
        latest = self._latest[known.id]
        return latest is None or latest.version > known.version
