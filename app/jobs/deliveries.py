"""Handling of messages from the broker; the job table decides what is run."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.jobs.model import Job
from app.jobs.queue import JobQueue


@dataclass(frozen=True)
class BrokerDeliveries:
    """Of one worker. `reap` frees the jobs whose lease has lapsed."""

    queue: JobQueue
    worker: str
    reap: Callable[[], None]
    stopping: threading.Event
    poll_s: float

    def claim(self, job_id: str, *, is_redelivered: bool) -> Job | None:
        """Claim the job whose turn it is: there are as many messages as jobs that were announced.

        Where none waits, the one that was named has ended, or waits for its time, or is held by
        another worker, and is left alone. But if it was named before, its holder may have died: it
        is watched until the holder gives a sign of life, for one lease at most, and taken over when
        the lease lapses.

        Raises:
            StoreUnavailableError: as the store does.
        """
        claimed = self._take(job_id)
        if claimed is not None or not is_redelivered:
            return claimed
        seen = self.queue.held(job_id)
        while seen is not None and not self.stopping.wait(self.poll_s):
            if (claimed := self._take(job_id)) is not None:
                return claimed
            before, seen = seen, self.queue.held(job_id)
            if seen is not None and seen.lease_until != before.lease_until:
                return None
        return None if self.stopping.is_set() else self._take(job_id)

    def _take(self, named: str) -> Job | None:
        """Claim as long as there is something to claim: another worker may be faster."""
        while self.queue.has_work():
            self.reap()
            if (claimed := self.queue.claim(self.worker)) is not None:
                if claimed.id != named:
                    self.queue.replace_announcement(named, claimed)
                return claimed
        return None
