"""Jobs as a web process would order them, and many that have ended."""

import time
import uuid
from typing import Any

from sqlalchemy import insert

from app.jobs.db.database import Database
from app.jobs.db.tables import job
from app.jobs.model import JobKind, JobStatus, NewJob

_BATCH = 10_000


def order(owner: str = "ann", **values: Any) -> NewJob:
    """A job whose every value may be chosen."""
    usual: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "kind": JobKind.STYLIZE,
        "owner": owner,
        "options": {"size": 64},
        "inputs": {"content": "jobs/x/0/content"},
    }
    return NewJob(**(usual | values))


def fill(database: Database, owner: str, count: int) -> None:
    """Add jobs of an owner that have ended, of both kinds, as the maintenance finds them."""
    now = time.time()
    usual = {
        "owner": owner,
        "status": JobStatus.SUCCEEDED,
        "priority": 0,
        "request_id": "",
        "options": {"size": 512},
        "created_at": now,
        "run_after": 0,
        "claimed_at": now,
        "started_at": now,
        "finished_at": now,
    }
    for first in range(0, count, _BATCH):
        rows = []
        for number in range(first, min(count, first + _BATCH)):
            job_id = uuid.uuid4().hex
            files = {"inputs": {"content": f"jobs/{job_id}/0/content"}, "stored_bytes": 1}
            kind = list(JobKind)[number % 2]
            rows.append({**usual, **files, "id": job_id, "kind": kind, "result": f"{job_id}/r"})
        with database.write() as connection:
            connection.execute(insert(job), rows)
