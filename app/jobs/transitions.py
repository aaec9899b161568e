"""State transitions of jobs. Each is guarded by a condition in the same statement."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from app.jobs.db.tables import job, to_job
from app.jobs.model import Job, JobKind, JobStatus

IS_KNOWN = job.c.kind.in_(list(JobKind))
"""Excludes kinds of jobs from a newer version of the program, which only that version can read."""

IS_QUEUED = IS_KNOWN & (job.c.status == JobStatus.QUEUED)
IS_RUNNING = IS_KNOWN & (job.c.status == JobStatus.RUNNING)

NO_LEASE: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}
WAITING: Mapping[str, Any] = {
    "status": JobStatus.QUEUED,
    "eta_s": None,
    "announce_at": 0,
    **NO_LEASE,
}
"""Column values of a job that returns to the queue; a broker has to be told."""


_LONGEST_WAIT_S = 86_400.0


def is_past(time: ColumnElement[float], now: ColumnElement[float]) -> ColumnElement[bool]:
    """Return whether a time has come.

    Nothing is scheduled more than a day ahead: a later time was set while the clock was wrong.
    """
    return (time <= now) | (time > now + _LONGEST_WAIT_S)


def change(connection: Connection, condition: ColumnElement[bool], **values: Any) -> list[Job]:
    """Update the jobs that meet the condition, with a new version, and return them."""
    statement = update(job).where(condition).values(version=job.c.version + 1, **values)
    return [to_job(row) for row in connection.execute(statement.returning(job)).all()]


def ended(status: JobStatus, now: ColumnElement[float], **values: Any) -> dict[str, Any]:
    """Return the column values of a job that ends in a terminal state."""
    kept: dict[str, Any] = (
        {}
        if status is JobStatus.SUCCEEDED
        else {"inputs": {}, "painting": None, "result": None, "stored_bytes": 0}
    )
    return {
        "status": status,
        "finished_at": now,
        "checkpoints": [],
        "eta_s": None,
        **NO_LEASE,
        **kept,
        **values,
    }
