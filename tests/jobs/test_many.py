"""Many jobs of all kinds at once, with a worker killed every few seconds."""

import os
import random
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from app.jobs.db.database import Database
from app.jobs.db.tables import job, to_job
from app.jobs.model import JobKind, JobStatus, NewJob, folder_of
from app.jobs.storage.local import LocalStorage
from app.jobs.store import JobStore
from app.limits import QueueLimits
from app.style.builtin import path_of
from tests.jobs.studio import QUICK, picture
from tests.patience import patient
from tests.service import Service, running_service, wait_until

JOBS = 50
_JOBS_PER_KILL = 9
OPTIONS = {"quality": "preview", "format": "jpeg", "style_name": ["mosaic"], "seed": 1}


def live(store: JobStore) -> int:
    """Count the jobs that wait or run."""
    return sum(count for status, count in store.counts().items() if not status.is_terminal)


@pytest.mark.failures
@pytest.mark.timeout(600)
def test_fifty_mixed_jobs_end_as_they_should(tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 - a repeatable mix
    with running_service(tmp_path, **QUICK | {"workers": 2}) as service:
        database = Database(f"sqlite:///{tmp_path / 'var/atelier.db'}", patient(5))
        store = JobStore(database, QueueLimits(JOBS, JOBS))
        storage = LocalStorage(tmp_path / "var")
        wanted = _submit_all(store, storage, chance)
        done = threading.Event()
        killer = threading.Thread(target=_kill_workers, args=(service, done))
        killer.start()
        try:
            _disturb(store, storage, wanted, chance)
            _remove_when_ended(store, storage, wanted)
            wait_until(lambda: not live(store), timeout_s=300)
        finally:
            done.set()
            killer.join()
        _check_states(store, storage, wanted)
        wait_until(lambda: _named_files(database) == _present_files(tmp_path / "var"))
        database.close()


def _submit_all(store: JobStore, storage: LocalStorage, chance: random.Random) -> dict[str, str]:
    """Queue the jobs as a web process does; returns what is to become of each."""
    style = path_of("mosaic")
    assert style is not None
    fates = chance.choices(["nothing", "cancel", "finish", "delete"], [2, 4, 4, 1], k=JOBS)
    wanted = {}
    for number, fate in enumerate(fates):
        job_id = f"{number:032x}"
        folder = f"jobs/{job_id}/0"
        inputs = {
            "content": storage.put(f"{folder}/content", picture(seed=number)),
            "style-0": storage.put(f"{folder}/style-0", style.read_bytes()),
        }
        size = chance.choice([64, 80, 96])
        owner = chance.choice(["ann", "bob"])
        options = OPTIONS | {"size": size, "width": size, "height": round(size * 2 / 3)}
        store.create(NewJob(job_id, JobKind.STYLIZE, owner, options, inputs))
        wanted[job_id] = fate
    return wanted


def _kill_workers(service: Service, done: threading.Event) -> None:
    """Kill one every few jobs, so that the others get done however slow the host is."""
    killed_at = 0
    while not done.wait(0.1):
        claimed = len(service.events("job claimed"))
        pid = service.worker_pid()
        if claimed >= killed_at + _JOBS_PER_KILL and pid is not None:
            os.kill(pid, signal.SIGKILL)
            killed_at = claimed


def _disturb(
    store: JobStore, storage: LocalStorage, wanted: dict[str, str], chance: random.Random
) -> None:
    """Cancel and finish at odd moments, as the routes do."""
    for job_id, fate in sorted(wanted.items(), key=lambda _: chance.random()):
        time.sleep(chance.random() / 10)
        if fate == "cancel":
            cancelled = store.cancel(job_id)
            if cancelled.status.is_terminal:
                storage.keep_only(folder_of(job_id), cancelled.files())
        elif fate == "finish":
            store.finish(job_id)


def _remove_when_ended(store: JobStore, storage: LocalStorage, wanted: dict[str, str]) -> None:
    """Remove jobs while others run."""
    for job_id in [key for key, fate in wanted.items() if fate == "delete"]:
        wait_until(partial(_has_ended, store, job_id), timeout_s=300)
        assert store.remove(job_id).status is JobStatus.SUCCEEDED
        storage.keep_only(folder_of(job_id), set())


def _has_ended(store: JobStore, job_id: str) -> bool:
    return store.find(job_id).status.is_terminal


def _check_states(store: JobStore, storage: LocalStorage, wanted: dict[str, str]) -> None:
    for job_id, fate in wanted.items():
        if fate == "delete":
            assert not storage.path(folder_of(job_id)).exists()
            continue
        ended = store.find(job_id)
        expected = {JobStatus.SUCCEEDED} | ({JobStatus.CANCELLED} if fate == "cancel" else set())
        assert ended.status in expected, ended
        assert (ended.result is not None) == (ended.status is JobStatus.SUCCEEDED)
        if ended.result is not None:
            size = (ended.options["width"], ended.options["height"])
            with Image.open(storage.path(ended.result)) as picture:
                picture.load()
                assert picture.size == size


def _named_files(database: Database) -> set[str]:
    with database.read() as connection:
        return {key for row in connection.execute(select(job)) for key in to_job(row).files()}


def _present_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / "jobs").rglob("*")
        if path.is_file()
    }
