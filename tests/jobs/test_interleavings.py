"""Random interleavings of clients and workers never break the rules."""

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from app.jobs.db.database import Database
from app.jobs.db.tables import job as table
from app.jobs.errors import JobStateError, ReplacedError, UnknownJobError
from app.jobs.model import Fault, Job, JobStatus, Progress
from app.jobs.queue import JobQueue, Outcome
from app.jobs.store import JobStore
from app.limits import QueueLimits
from tests.jobs.orders import order

WORKERS = st.sampled_from(["w1", "w2", "w3"])
STEPS = st.integers(1, 9)


class Interleavings(RuleBasedStateMachine):
    """Clients and workers act in any order; `held` are claims, of present and former holders."""

    jobs = Bundle("jobs")
    held = Bundle("held")

    def __init__(self, database: Database) -> None:
        super().__init__()
        with database.write() as connection:
            connection.execute(delete(table))
        self.store = JobStore(database, QueueLimits(1000, 1000))
        self.queue = JobQueue(database, 3600, retry_s=0)
        self.lapsing = JobQueue(database, -1, retry_s=0)
        self.ended: dict[str, Job] = {}
        self.seen: dict[str, Job] = {}
        self.holder: dict[str, int] = {}  # the attempt that may write, by job

    @rule(target=jobs, owner=st.sampled_from(["ann", "bob"]))
    def create(self, owner: str) -> str:
        return self.store.create(order(owner))[0].id

    @rule(target=held, worker=WORKERS, lapses=st.booleans())
    def claim(self, worker: str, lapses: bool) -> Job | None:
        job = (self.lapsing if lapses else self.queue).claim(worker)
        if job is not None:
            assert job.id not in self.holder, "two workers hold one job"
            self.holder[job.id] = job.attempt
        return job

    @rule(mine=held, step=STEPS)
    def report(self, mine: Job | None, step: int) -> None:
        self._write(mine, lambda job: self.queue.report(job, Progress(step, 9), 1.0, None))

    @rule(mine=held)
    def keep(self, mine: Job | None) -> None:
        self._write(mine, lambda job: self.queue.keep(job, "c", "b"))

    @rule(mine=held)
    def renew(self, mine: Job | None) -> None:
        self._write(mine, self.queue.renew)

    @rule(mine=held)
    def give_back(self, mine: Job | None) -> None:
        self._write(mine, self.queue.give_back)

    @rule(mine=held)
    def retry(self, mine: Job | None) -> None:
        self._write(mine, lambda job: self.queue.retry(job, Fault("internal_error", "again")))

    @rule(mine=held)
    def succeed(self, mine: Job | None) -> None:
        self._write(mine, lambda job: self.queue.finish(job, Progress(9, 9), Outcome("r")))

    @rule(mine=held)
    def obey(self, mine: Job | None) -> None:
        self._write(mine, self.queue.cancel)

    @rule()
    def reap(self) -> None:
        self._lost(self.lapsing.reap())

    @rule(worker=WORKERS)
    def release(self, worker: str) -> None:
        self._lost(self.queue.release(worker))

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        self._ask(lambda: self.store.cancel(job_id))

    @rule(job_id=jobs)
    def finish(self, job_id: str) -> None:
        self._ask(lambda: self.store.finish(job_id))

    @rule(job_id=jobs)
    def remove(self, job_id: str) -> None:
        removed = self._ask(lambda: self.store.remove(job_id))
        if removed is not None:
            assert removed.status.is_terminal
            self.ended.pop(job_id, None)
            self.seen.pop(job_id, None)

    @invariant()
    def holds(self) -> None:
        for job in self.store.page(limit=1000):
            before = self.seen.get(job.id, job)
            assert job.version >= before.version
            assert job.attempt >= before.attempt
            assert _step(job) >= _step(before)
            assert job.version > before.version or job.status is before.status
            if job.id in self.ended:
                assert job == self.ended[job.id], "a terminal state changed"
            if job.status.is_terminal:
                self.ended[job.id] = job
            assert (job.status is JobStatus.RUNNING) == (job.id in self.holder)
            assert not (job.status is JobStatus.QUEUED and job.cancel_requested)
            assert (job.lease_owner is not None) == (job.status is JobStatus.RUNNING)
            self.seen[job.id] = job

    def _write(self, mine: Job | None, write: Callable[[Job], Job]) -> None:
        if mine is None:
            return
        may_write = self.holder.get(mine.id) == mine.attempt
        try:
            after = write(mine)
        except ReplacedError:
            assert not may_write
            return
        assert may_write, "a former holder wrote"
        if after.status is not JobStatus.RUNNING:
            del self.holder[mine.id]

    def _lost(self, lost: list[Job]) -> None:
        for job in lost:
            assert job.status is not JobStatus.RUNNING
            del self.holder[job.id]

    def _ask(self, ask: Callable[[], Job]) -> Job | None:
        try:
            return ask()
        except (UnknownJobError, JobStateError):
            return None


def _step(job: Job) -> int:
    return job.progress.step if job.progress else 0


def test_no_interleaving_breaks_the_rules(database: Database) -> None:
    bounds = settings(max_examples=60, stateful_step_count=40, deadline=None)
    here: Any = partial(Interleavings, database)  # a factory is as good as a class
    run_state_machine_as_test(here, settings=bounds)
