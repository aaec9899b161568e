"""What a worker does when a broker names a job: the job table says whether there is work in it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.jobs.job import Job
from app.jobs.leases import Leases


@dataclass(frozen=True)
class Deliveries:
    """Of one worker. `reap` frees the jobs whose lease has lapsed."""

    leases: Leases
    worker: str
    reap: Callable[[], None]
    stopping: threading.Event
    poll_s: float

    def claim(self, job_id: str, *, is_redelivered: bool) -> Job | None:
        """Claim a job that was named to this worker, if it waits.

        One that has ended, waits for its time, or is held by another worker is left alone. But if
        it was named before, its holder may have died: it is watched until the holder gives a sign
        of life, for one lease at most, and taken over when the lease lapses.

        Raises:
            StoreUnavailableError: as the store does.
        """
        claimed = self.leases.claim(self.worker, job_id)
        if claimed is not None or not is_redelivered:
            return claimed
        seen = self.leases.held(job_id)
        while seen is not None:
            if self.stopping.wait(self.poll_s):
                return None
            self.reap()
            before, seen = seen, self.leases.held(job_id)
            if seen is not None and seen.lease_until != before.lease_until:
                return None
        return self.leases.claim(self.worker, job_id)
