"""Response bodies of jobs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from app.api.errors import fault_problem
from app.api.schemas.common import Problem, Schema
from app.jobs.model import Job, JobKind, JobStatus
from app.jobs.store import QueuePosition


class ProgressOut(Schema):
    """The progress of a job."""

    step: int = Field(description="counts over all scales and never decreases")
    steps: int = Field(description="an upper bound: a scale may end early")
    size: int | None = Field(description="longest side of the current scale, px")
    content_loss: float | None
    style_loss: float | None


class LinksOut(Schema):
    """Links to a job's files and actions; null where there is nothing yet."""

    self: str
    events: str
    preview: str | None
    result: str | None


class JobOut(Schema):
    """A job."""

    id: str
    kind: JobKind
    status: JobStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut | None
    estimate_s: float | None = Field(
        description="estimated seconds of work, when the job was created"
    )
    eta_s: float | None = Field(description="seconds until its end")
    position: int | None = Field(description="place in the queue from 1, while the job waits")
    options: Mapping[str, Any]
    error: Problem | None
    links: LinksOut


class JobsOut(Schema):
    """A page of jobs, newest first."""

    jobs: list[JobOut]
    cursor: str | None = Field(description="the cursor of the next page; null on the last page")


def job_out(job: Job, queue_position: QueuePosition | None) -> JobOut:
    """Describe a job, with its place in the queue while it waits."""
    here = f"/jobs/{job.id}"
    return JobOut(
        id=job.id,
        kind=job.kind,
        status=job.status,
        created_at=_time(job.created_at),
        started_at=_time(job.started_at) if job.started_at else None,
        finished_at=_time(job.finished_at) if job.finished_at else None,
        progress=ProgressOut.model_validate(job.progress) if job.progress else None,
        estimate_s=job.estimate_s,
        eta_s=queue_position.eta_s if queue_position else _eta_s(job),
        position=queue_position.position if queue_position else None,
        options=job.options,
        error=fault_problem(job.error) if job.error else None,
        links=LinksOut(
            self=here,
            events=f"{here}/events",
            preview=f"{here}/preview" if job.preview else None,
            result=f"{here}/result" if job.result else None,
        ),
    )


def _eta_s(job: Job) -> float | None:
    """Return the worker's remaining time, or the estimate until the worker reports one."""
    begins = job.status is JobStatus.RUNNING and job.eta_s is None
    return job.estimate_s if begins else job.eta_s


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
