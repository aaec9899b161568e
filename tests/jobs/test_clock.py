"""The clock of a host that is wrong, is set, or stood still while the machine was off."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import update
from structlog.testing import capture_logs

from app.jobs.db import tables
from app.jobs.db.database import Database
from app.jobs.errors import UnknownJobError
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.model import Fault, Job, JobStatus, Progress, folder_of
from app.jobs.queue import JobQueue, Outcome
from app.jobs.service_time import ServiceTime
from app.jobs.storage.local import LocalStorage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.jobs.worker_registry import RegisteredWorker, WorkerRegistry
from tests.jobs.orders import order
from tests.service import wait_until

DAY_S = 86_400.0
WEEK = Retention(files_s=7 * DAY_S, job_s=30 * DAY_S, orphan_s=DAY_S, finished_per_owner=1000)

Shift = Callable[[float], None]


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    """Take back what `capture_logs` leaves: that structlog counts as configured."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Set the wall clock of this process so many seconds ahead."""
    real = time.time
    return lambda ahead_s: monkeypatch.setattr(time, "time", lambda: real() + ahead_s)


@pytest.fixture
def suspend(monkeypatch: pytest.MonkeyPatch, set_clock: Shift) -> Shift:
    """Let time pass as a suspended machine does."""
    real = time.clock_gettime

    def asleep(seconds: float) -> None:
        set_clock(seconds)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + seconds)

    return asleep


def upkeep(database: Database, queue: JobQueue, storage: LocalStorage) -> Maintenance:
    """Make the maintenance of a process that starts now."""
    return Maintenance(database, queue, storage, Spool(storage.path("")), WEEK)


def finished(store: JobStore, queue: JobQueue, storage: LocalStorage) -> Job:
    store.create(order(inputs={}))
    mine = queue.claim("w")
    assert mine is not None
    result = storage.put(f"{mine.folder()}/result.png", b"picture")
    return queue.finish(mine, Progress(9, 9), Outcome(result))


def serve_for(database: Database, seconds: float) -> None:
    """Have the service run for so long."""
    _change(database, seconds=tables.service_time.c.seconds + seconds)


def rest_for(database: Database, seconds: float) -> None:
    """Have the service not run for so long: its last sign of life is from before."""
    _change(database, noted_at=tables.service_time.c.noted_at - seconds)


def _change(database: Database, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(tables.service_time).values(**values))


def is_kept(store: JobStore, storage: LocalStorage, done: Job) -> bool:
    assert done.result is not None
    return not store.find(done.id).expired and storage.exists(done.result)


@pytest.mark.parametrize("ahead_s", [8 * DAY_S, 400 * DAY_S, -8 * DAY_S])
def test_no_result_is_lost_when_the_clock_is_set(
    database: Database,
    store: JobStore,
    queue: JobQueue,
    storage: LocalStorage,
    set_clock: Shift,
    ahead_s: float,
) -> None:
    done = finished(store, queue, storage)
    running = upkeep(database, queue, storage)
    running.tick()
    set_clock(ahead_s)
    running.tick()
    upkeep(database, queue, storage).tick()  # of a process that starts meanwhile
    later = finished(store, queue, storage)
    running.tick()
    set_clock(0)
    running.tick()
    upkeep(database, queue, storage).tick()
    assert is_kept(store, storage, done)
    assert is_kept(store, storage, later)
    serve_for(database, 8 * DAY_S)
    running.tick()
    assert store.find(done.id).expired
    assert store.find(later.id).expired
    assert not storage.path(folder_of(done.id)).exists()


def test_a_process_with_a_wrong_clock_costs_no_result(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage, set_clock: Shift
) -> None:
    done = finished(store, queue, storage)
    upkeep(database, queue, storage).tick()
    for ahead_s in (400 * DAY_S, -400 * DAY_S, 0):
        set_clock(ahead_s)
        starting = upkeep(database, queue, storage)
        starting.tick()
        starting.tick()
    assert is_kept(store, storage, done)


def test_results_expire_after_the_machine_was_off_without_an_operator(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    done = finished(store, queue, storage)
    upkeep(database, queue, storage).tick()
    rest_for(database, 14 * DAY_S)
    running = upkeep(database, queue, storage)
    running.tick()
    assert is_kept(store, storage, done)
    serve_for(database, 6 * DAY_S)
    running.tick()
    assert is_kept(store, storage, done)
    serve_for(database, 0.4 * DAY_S)  # a part of the pause counts as well
    running.tick()
    assert store.find(done.id).expired
    serve_for(database, 30 * DAY_S)
    running.tick()
    with pytest.raises(UnknownJobError):
        store.find(done.id)


def test_nights_in_which_the_machine_is_off_count(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    done = finished(store, queue, storage)
    for _ in range(7):
        upkeep(database, queue, storage).tick()
        assert is_kept(store, storage, done)
        serve_for(database, DAY_S / 2)
        upkeep(database, queue, storage).tick()
        rest_for(database, DAY_S / 2)
    upkeep(database, queue, storage).tick()
    assert store.find(done.id).expired


def test_a_suspended_machine_grows_older_and_takes_no_job_from_its_workers(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage, suspend: Shift
) -> None:
    done = finished(store, queue, storage)
    store.create(order())
    held = queue.claim("w")
    assert held is not None
    running = upkeep(database, queue, storage)
    running.tick()
    with capture_logs() as lines:
        suspend(8 * DAY_S)
        running.tick()
    assert store.find(held.id).status is JobStatus.RUNNING
    assert store.find(done.id).expired
    if not database.is_shared:  # the server was not suspended with it
        assert [line["event"] for line in lines if line["log_level"] == "warning"] == []


@pytest.mark.parametrize(("ahead_s", "count"), [(8 * DAY_S, 1), (-3600, 1), (5, 0), (-5, 0)])
def test_a_clock_that_is_set_by_more_than_a_correction_is_logged_once(
    tmp_path: Path, set_clock: Shift, ahead_s: float, count: int
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'atelier.db'}", timeout_s=5)
    database.migrate()
    clock = ServiceTime(database, DAY_S)
    clock.now()
    with capture_logs() as lines:
        set_clock(ahead_s)
        clock.now()
        clock.now()
    database.close()
    assert len([line for line in lines if "the clock was set" in line["event"]]) == count


@pytest.mark.parametrize("ahead_s", [8 * DAY_S, -8 * DAY_S])
def test_a_worker_keeps_its_job_when_the_clock_is_set(
    database: Database,
    store: JobStore,
    queue: JobQueue,
    storage: LocalStorage,
    set_clock: Shift,
    ahead_s: float,
) -> None:
    store.create(order())
    held = queue.claim("w")
    assert held is not None
    running, starting = (upkeep(database, JobQueue(database, 30, 1), storage) for _ in range(2))
    running.tick()
    set_clock(ahead_s)
    running.tick()
    starting.tick()
    assert queue.renew(held).attempt == held.attempt
    assert store.find(held.id).crashes == 0


def claimed_while_the_clock_is_ahead(store: JobStore, queue: JobQueue, set_clock: Shift) -> Job:
    store.create(order())
    set_clock(8 * DAY_S)
    held = queue.claim("w")
    assert held is not None
    return held


def test_a_job_is_taken_from_a_worker_that_died_while_the_clock_was_wrong(
    database: Database, store: JobStore, set_clock: Shift
) -> None:
    watching = JobQueue(database, 0.1, retry_s=1)
    held = claimed_while_the_clock_is_ahead(store, watching, set_clock)
    set_clock(0)
    (lost,) = wait_until(watching.reap)
    assert (lost.id, lost.status) == (held.id, JobStatus.QUEUED)


def test_a_job_that_was_put_back_while_the_clock_was_wrong_is_tried_again(
    database: Database, store: JobStore, set_clock: Shift
) -> None:
    queue = JobQueue(database, 30, retry_s=10)
    held = claimed_while_the_clock_is_ahead(store, queue, set_clock)
    queue.retry(held, Fault("storage_failed", "try again"))
    assert not queue.has_work()
    set_clock(0)
    if database.is_shared:
        return  # the clock of its server was right
    assert queue.has_work()
    assert queue.claim("w") is not None


def test_files_that_are_being_received_survive_a_clock_that_is_set(
    database: Database, queue: JobQueue, storage: LocalStorage, set_clock: Shift
) -> None:
    running = upkeep(database, queue, storage)
    running.tick()
    stored = storage.put(f"{folder_of('0' * 32)}/0/content", b"of a request that goes on")
    with Spool(storage.path("")).incoming() as incoming:
        set_clock(8 * DAY_S)
        for each in (upkeep(database, queue, storage), running):
            each.tick()
        assert incoming.path.exists()
    assert storage.exists(stored)


def test_files_of_no_job_are_removed_when_they_are_found_twice(
    database: Database, queue: JobQueue, storage: LocalStorage, tmp_path: Path
) -> None:
    upkeep(database, queue, storage).tick()
    stray = storage.put(f"{folder_of('0' * 32)}/0/content", b"of a request that broke off")
    spool = Spool(tmp_path / "var")
    kept = Retention(files_s=DAY_S, job_s=DAY_S, orphan_s=0.2, finished_per_owner=9)
    running = Maintenance(database, queue, storage, spool, kept)

    def is_swept() -> bool:
        running.tick()
        return not storage.exists(stray)

    wait_until(lambda: time.time() - storage.path(stray).stat().st_ctime > 0.2)
    assert not is_swept()
    wait_until(is_swept)


def test_workers_that_live_are_not_forgotten_when_the_clock_is_set(
    database: Database, set_clock: Shift
) -> None:
    worker_registry = WorkerRegistry(database, lease_s=30)
    worker_registry.join(RegisteredWorker("old", "cpu", "float32", 1, None))
    set_clock(8 * DAY_S)
    worker_registry.join(RegisteredWorker("new", "cpu", "float32", 1, None))
    worker_registry.beat("old")
    assert {each.name for each in worker_registry.workers()} == {"old", "new"}
    set_clock(0)
    worker_registry.beat("old")
    worker_registry.join(RegisteredWorker("newer", "cpu", "float32", 1, None))
    assert {each.name for each in worker_registry.workers()} == {"old", "new", "newer"}


def test_processes_that_run_together_count_no_second_twice(database: Database) -> None:
    together = [ServiceTime(database, DAY_S) for _ in range(5)]
    first = together[0].now()
    started = time.monotonic()
    found = [each.now() for each in together * 3]
    assert max(found) - first <= time.monotonic() - started + 0.5


def test_a_worker_that_died_while_the_clock_was_ahead_does_not_count(
    tmp_path: Path, set_clock: Shift
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'atelier.db'}", timeout_s=5)
    database.migrate()
    worker_registry = WorkerRegistry(database, lease_s=30)
    set_clock(8 * DAY_S)
    worker_registry.join(RegisteredWorker("dead", "cpu", "float32", 1, None))
    assert worker_registry.count() == 1
    set_clock(0)
    assert worker_registry.count() == 0
    database.close()
