"""What is removed with time, and what is not."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.jobs.calibrations import Calibrations
from app.jobs.cleanup import remove_files
from app.jobs.db.database import Database
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.db.tables import rate_limiter
from app.jobs.errors import UnknownJobError
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.model import Job, JobStatus, Progress, folder_of
from app.jobs.queue import JobQueue, Outcome
from app.jobs.storage.local import LocalStorage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.style.estimate import Calibration
from tests.jobs.orders import fill, order

NEVER_S = 1e9
DONE = Progress(step=9, steps=9)


def finished(store: JobStore, queue: JobQueue, storage: LocalStorage) -> Job:
    new = order(inputs={"content": ""})
    key = storage.put(f"{folder_of(new.id)}/0/content", b"photo")
    store.create(order(id=new.id, inputs={"content": key}))
    mine = queue.claim("w")
    assert mine is not None
    result = storage.put(f"{mine.folder()}/result.png", b"picture")
    extra = storage.put(f"{mine.folder()}/thumbnail.jpg", b"small picture")
    return queue.finish(mine, DONE, Outcome(result, extras={"thumbnail.jpg": extra}))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "var")


def maintenance(
    database: Database, queue: JobQueue, storage: LocalStorage, **kept: Any
) -> Maintenance:
    usual: dict[str, Any] = {"files_s": NEVER_S, "job_s": NEVER_S, "orphan_s": NEVER_S}
    usual["finished_per_owner"] = 1000
    spool = Spool(storage.path(""))
    return Maintenance(database, queue, storage, spool, Retention(**(usual | kept)))


def test_files_expire_before_their_job(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    old, waiting = finished(store, queue, storage), store.create(order())[0]
    maintenance(database, queue, storage).tick()
    assert store.find(old.id) == old
    maintenance(database, queue, storage, files_s=0).tick()
    expired = store.find(old.id)
    assert (expired.status, expired.expired, expired.files()) == (JobStatus.SUCCEEDED, True, set())
    assert not storage.path(folder_of(old.id)).exists()
    maintenance(database, queue, storage, files_s=0, job_s=0).tick()
    with pytest.raises(UnknownJobError):
        store.find(old.id)
    assert store.find(waiting.id).status is JobStatus.QUEUED


def test_the_oldest_finished_jobs_of_an_owner_who_has_too_many_go(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    done = [finished(store, queue, storage) for _ in range(5)]
    waiting = store.create(order())[0]
    other = [store.cancel(store.create(order("bob"))[0].id) for _ in range(2)]
    maintenance(database, queue, storage, finished_per_owner=3).tick()
    assert [job.id for job in store.page("ann", limit=9)] == [
        waiting.id,
        *(job.id for job in done[:1:-1]),
    ]
    assert len(store.page("bob", limit=9)) == len(other)
    assert [storage.path(folder_of(job.id)).exists() for job in done] == [False] * 2 + [True] * 3


def test_a_smaller_limit_holds_for_jobs_that_finished_before(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    done = [finished(store, queue, storage) for _ in range(3)]
    maintenance(database, queue, storage).tick()
    stricter = maintenance(database, queue, storage, finished_per_owner=1)
    stricter.tick()
    stricter.tick()
    assert [job.id for job in store.page("ann", limit=9)] == [done[-1].id]


def test_more_than_one_batch_is_removed_in_one_tick(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    finished(store, queue, storage)
    fill(database, "ann", 1200)
    maintenance(database, queue, storage, finished_per_owner=10).tick()
    assert sum(store.counts().values()) == 10
    maintenance(database, queue, storage, files_s=0, job_s=0).tick()
    assert sum(store.counts().values()) == 0


def test_old_files_of_no_job_are_removed(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage
) -> None:
    kept = finished(store, queue, storage)
    stray = storage.put(f"{folder_of(kept.id)}/7/result.png", b"of an attempt that died")
    broken_off = storage.put(f"{folder_of('0' * 32)}/0/content", b"of a request that broke off")
    assert storage.path(stray).exists()
    maintenance(database, queue, storage, orphan_s=0).tick()
    assert not storage.path(stray).exists()
    assert not storage.path(broken_off).parent.exists()
    assert len(kept.files()) == 2
    assert all(storage.path(key).exists() for key in kept.files())


def test_uploads_of_dead_processes_are_removed_at_once(
    database: Database, queue: JobQueue, storage: LocalStorage, spool: Spool
) -> None:
    lost = storage.put("incoming/lost", b"of an upload whose process died")
    with spool.incoming() as incoming:
        incoming.add(b"of an upload that goes on")
        maintenance(database, queue, storage).tick()
        assert incoming.path.exists()
        assert not storage.path(lost).exists()
    assert not incoming.path.exists()


def test_a_copy_of_an_old_file_is_new(storage: LocalStorage) -> None:
    old = storage.put("jobs/a/1/painting", b"picture")
    long_ago = time.time() - 1000
    os.utime(storage.path(old), (long_ago, long_ago))
    copy = storage.copy(old, "jobs/b/0/begun")
    assert copy not in storage.older_than("jobs", 100)


def test_lapsed_jobs_are_taken_from_their_workers(
    database: Database, store: JobStore, lapsing: JobQueue, storage: LocalStorage
) -> None:
    store.create(order())
    lost = lapsing.claim("w")
    assert lost is not None
    maintenance(database, lapsing, storage).tick()
    assert store.find(lost.id).status is JobStatus.QUEUED


def test_files_of_another_databases_jobs_are_left_alone(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage, tmp_path: Path
) -> None:
    kept = finished(store, queue, storage)
    maintenance(database, queue, storage, orphan_s=0).tick()
    other = Database(f"sqlite:///{tmp_path / 'other.db'}", timeout_s=5)
    other.migrate()
    maintenance(other, JobQueue(other, 30, 0.1), storage, orphan_s=0).tick()
    assert all(storage.path(key).exists() for key in kept.files())
    stray = storage.put(f"{folder_of('0' * 32)}/0/content", b"of a request that broke off")
    maintenance(database, queue, storage, orphan_s=0).tick()
    assert not storage.path(stray).exists()
    assert all(storage.path(key).exists() for key in kept.files())
    other.close()


def test_another_database_does_not_take_files_over_that_are_there(
    database: Database, store: JobStore, queue: JobQueue, storage: LocalStorage, tmp_path: Path
) -> None:
    kept = finished(store, queue, storage)
    other = Database(f"sqlite:///{tmp_path / 'other.db'}", timeout_s=5)
    other.migrate()
    maintenance(other, JobQueue(other, 30, 0.1), storage, orphan_s=0).tick()
    other.close()
    assert all(storage.path(key).exists() for key in kept.files())
    stray = storage.put(f"{folder_of('0' * 32)}/0/content", b"of a request that broke off")
    maintenance(database, queue, storage, orphan_s=0).tick()
    assert not storage.path(stray).exists()


def test_counts_go_when_their_time_is_over(
    database: Database, queue: JobQueue, storage: LocalStorage
) -> None:
    counts = DatabaseStorage(database)
    counts.incr("over", 0)
    counts.incr("on", 60)
    time.sleep(0.01)
    maintenance(database, queue, storage).tick()
    with database.read() as connection:
        assert connection.execute(select(rate_limiter.c.key)).scalars().all() == ["on"]


def test_empty_folders_go_when_they_are_old(
    database: Database, queue: JobQueue, storage: LocalStorage
) -> None:
    empty = storage.path(f"{folder_of('0' * 32)}/0")
    empty.mkdir(parents=True)
    maintenance(database, queue, storage, orphan_s=60).tick()
    assert empty.exists()
    for _ in range(2):  # the removal of a folder changes the time of the one above it
        maintenance(database, queue, storage, orphan_s=0).tick()
    assert not empty.exists()
    assert not empty.parent.exists()


def test_a_file_that_cannot_be_removed_is_no_error(
    store: JobStore, queue: JobQueue, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = finished(store, queue, storage)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        remove_files(kept.id, storage)
    assert all(storage.path(key).exists() for key in kept.files())
    remove_files(kept.id, storage)
    assert not storage.path(folder_of(kept.id)).exists()


@pytest.mark.parametrize("damage", ["null", '"x"', "-1", "NaN", "1e999", "{}", "true, "])
def test_damaged_calibration_is_ignored(tmp_path: Path, damage: str) -> None:
    measured = Calibration(0.1, 1e-6, 100, 5)
    path = tmp_path / "var/calibrations.json"
    calibrations = Calibrations(path)
    calibrations.keep("cpu", measured)
    assert calibrations.find("cpu") == measured
    path.write_text(path.read_text().replace("0.1", damage))
    assert calibrations.find("cpu") is None
