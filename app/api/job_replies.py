"""The headers and the response of every request that creates a job."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header, Response, status
from pydantic import BaseModel, Field

from app.api.deps import CallerDep, FlowDep, Services, ServicesDep
from app.api.schemas.jobs import JobOut, job_out
from app.api.schemas.media import RETRY_AFTER, header
from app.api.submissions import Sender
from app.api.threads import in_store
from app.jobs.model import Job, JobStatus

_LONGEST_WAIT_S = 60
_MAX_PREFERENCES = 20
_JOB = "b9b9d41073574dfbbb2d26943f985afc"
_LINKED = (
    "show_job",
    "watch_job",
    "preview",
    "result",
    "finish_job",
    "cancel_job",
    "continue_job",
    "delete_job",
)
_LINKS = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}} for name in _LINKED
}
_HEADERS = {
    "Location": header("the job", f"/jobs/{_JOB}"),
    "Preference-Applied": header("the preference that was applied", "wait=30", required=False),
}
JOB_MADE: dict[int | str, dict[str, Any]] = {
    200: {
        "model": JobOut,
        "description": "The job, which is finished",
        "headers": _HEADERS,
        "links": _LINKS,
    },
    202: {
        "description": "The job, which is not finished",
        "headers": {**_HEADERS, "Retry-After": {**RETRY_AFTER, "required": True}},
        "links": _LINKS,
    },
}
"""The OpenAPI responses of a request that creates a job."""

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)


class JobHeaders(BaseModel):
    """The headers of every request that creates a job."""

    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="a repeated request with the same key returns the existing job, not a new one",
    )
    prefer: list[str] = Field(
        [],
        description=f"`wait=N`: answer when the job has ended, or after N (at most "
        f"{_LONGEST_WAIT_S}) seconds",
    )


async def _counted_headers(
    headers: Annotated[JobHeaders, Header()], flow: FlowDep, services: ServicesDep
) -> AsyncIterator[JobHeaders]:
    """Count a waiting request before its job is created, so that no created job is refused."""
    if _wanted_wait_s(headers.prefer) is None:
        yield headers
        return
    with services.streams.taken(flow):
        yield headers


JobHeadersDep = Annotated[JobHeaders, Depends(_counted_headers)]


async def _sender(caller: CallerDep, flow: FlowDep, headers: JobHeadersDep) -> Sender:
    return Sender(caller, flow, headers.idempotency_key)


SenderDep = Annotated[Sender, Depends(_sender)]


async def job_document(job: Job, services: Services) -> JobOut:
    """Describe a job, with its place in the queue while it waits."""
    waits = job.status is JobStatus.QUEUED
    queue_positions = await in_store(services.jobs.queue_positions) if waits else {}
    return job_out(job, queue_positions.get(job.id))


async def job_reply(
    job: Job, headers: JobHeaders, services: Services, response: Response
) -> JobOut:
    """Return 202 with the job, or 200 if the client prefers to wait and the job has finished."""
    response.headers["Location"] = f"/jobs/{job.id}"
    wait_s = _wanted_wait_s(headers.prefer)
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        job = await services.watch.ended(job, wait_s)
    if job.status.is_terminal:
        response.status_code = status.HTTP_200_OK
        return await job_document(job, services)
    document = await job_document(job, services)
    response.status_code = status.HTTP_202_ACCEPTED
    response.headers["Retry-After"] = str(max(1, min(_LONGEST_WAIT_S, round(document.eta_s or 1))))
    return document


def _wanted_wait_s(prefer: list[str]) -> int | None:
    """Return `wait` of the request's preferences (RFC 7240), which may have parameters."""
    for preference in ",".join(prefer).split(",", _MAX_PREFERENCES)[:_MAX_PREFERENCES]:
        wait = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if wait:
            return min(int(wait[1]), _LONGEST_WAIT_S)
    return None
