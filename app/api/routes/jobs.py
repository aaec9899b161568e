"""`/jobs`: lists, events, files and the end of jobs."""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Query, Response, status
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse

from app.api.auth.concurrency import TooManyAtOnceError
from app.api.deps import CallerDep, FlowDep, JobDep, ServicesDep
from app.api.errors import StreamEndedError, problem_responses
from app.api.file_response import BlobResponse
from app.api.job_replies import job_document
from app.api.schemas.evaluate import ReportOut, report_out
from app.api.schemas.jobs import JobOut, JobsOut, job_out
from app.api.schemas.media import BINARY, CACHE_CONTROL, files, header
from app.api.threads import in_storage, in_store
from app.jobs.cleanup import remove_attempts, remove_files
from app.jobs.errors import (
    JobStateError,
    ResultExpiredError,
    StorageUnavailableError,
    StoreUnavailableError,
    UnknownFileError,
    UnknownJobError,
)
from app.jobs.model import Job, JobKind, JobStatus
from app.jobs.storage.base import FileStorage

T = TypeVar("T")

router = APIRouter(prefix="/jobs", tags=["jobs"])

_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

_UNCHANGING = {"Cache-Control": "private, max-age=3600"}
_LINKED = {"Cache-Control": "private, max-age=1800"}  # half the lifetime of a signed link
_RESULT_HEADERS = {
    **CACHE_CONTROL,
    "ETag": header("for `If-None-Match`", '"b9b9d41073574dfbbb2d26943f985afc-1"'),
    "Content-Disposition": header("a name", 'attachment; filename="atelier-b9b9d410.png"'),
}

_KNOWN = problem_responses(UnknownJobError, StoreUnavailableError)
_WITH_STATE = problem_responses(UnknownJobError, JobStateError, StoreUnavailableError)
_WITH_FILE = problem_responses(
    UnknownJobError,
    JobStateError,
    ResultExpiredError,
    StorageUnavailableError,
    StoreUnavailableError,
)


class JobsQuery(BaseModel):
    """The query of a list of jobs; other parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    status: JobStatus | None = Field(None, description="only jobs in this state")
    kind: JobKind | None = Field(None, description="only jobs of this kind")
    limit: int = Field(50, ge=1, le=200, description="at most so many")
    cursor: str | None = Field(None, description="from the page before", pattern=r"^\d{1,18}$")


@router.get("", responses=problem_responses(StoreUnavailableError))
async def list_jobs(
    query: Annotated[JobsQuery, Query()], caller: CallerDep, services: ServicesDep
) -> JobsOut:
    """List the caller's jobs, newest first."""

    def page() -> JobsOut:
        jobs = services.jobs.page(
            caller,
            status=query.status,
            kind=query.kind,
            limit=query.limit + 1,
            before=int(query.cursor) if query.cursor else None,
        )
        shown, more = jobs[: query.limit], jobs[query.limit :]
        waits = any(job.status is JobStatus.QUEUED for job in shown)
        queue_positions = services.jobs.queue_positions() if waits else {}
        return JobsOut(
            jobs=[job_out(job, queue_positions.get(job.id)) for job in shown],
            cursor=str(shown[-1].number) if more else None,
        )

    return await in_store(page)


@router.get("/{job_id}", responses=_KNOWN)
async def show_job(job: JobDep, services: ServicesDep) -> JobOut:
    """Show one job."""
    return await job_document(job, services)


async def _count_stream(flow: FlowDep, services: ServicesDep) -> AsyncIterator[None]:
    """Count a stream from before its first byte, when it can still be refused, to its end."""
    with services.streams.taken(flow):
        yield


async def _streamed_job(
    _counted: Annotated[None, Depends(_count_stream)],  # before the database query for the job
    job: JobDep,
    last_event_id: Annotated[str | None, Header(description="the `id` of the last event")] = None,
) -> Job:
    if job.status.is_terminal and last_event_id == str(job.version):
        raise StreamEndedError  # otherwise a browser would reconnect forever
    return job


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    responses={
        204: {"description": "The client has received the end"},
        **problem_responses(UnknownJobError, TooManyAtOnceError, StoreUnavailableError),
    },
)
async def watch_job(
    job: Annotated[Job, Depends(_streamed_job)], services: ServicesDep
) -> AsyncIterator[ServerSentEvent]:
    """Stream `progress` and `preview` events, then one `end` event with the job.

    A client that reconnects gets the current state first.
    """
    shown_step = None
    async for seen in services.watch.follow(job):
        state, number = seen.job, str(seen.job.version)
        document = job_out(state, seen.queue_position)
        if state.status.is_terminal:
            yield ServerSentEvent(event="end", id=number, data=document)
            return
        yield ServerSentEvent(event="progress", id=number, data=document)
        step = state.progress.step if state.progress else None
        if state.preview and step != shown_step:
            shown_step = step
            url = f"/jobs/{state.id}/preview?version={number}"
            yield ServerSentEvent(event="preview", id=number, data={"url": url})


@router.get(
    "/{job_id}/preview",
    response_class=Response,
    responses={
        **files(
            "The current preview",
            "image/jpeg",
            headers={"Cache-Control": header("always revalidated", "no-cache")},
        ),
        **_WITH_FILE,
    },
)
async def preview(job: JobDep, services: ServicesDep) -> Response:
    """Return the current preview, a small JPEG."""
    if job.expired:
        raise ResultExpiredError("The files of the job have been removed.")
    if job.preview is None:
        raise JobStateError(f"There is no preview yet. The job is {job.status}.")
    try:
        reader = await _stored(services.storage.open, job.preview)
    except ResultExpiredError:  # a newer preview may just have replaced it
        latest = (await in_store(services.jobs.find, job.id)).preview
        if latest in (None, job.preview):
            raise
        reader = await _stored(services.storage.open, str(latest))
    return BlobResponse(reader, "image/jpeg", {"Cache-Control": "no-cache"})


@router.get(
    "/{job_id}/result",
    response_class=Response,
    responses={
        200: {
            "model": ReportOut,
            "description": "An image, or a report",
            "content": {media_type: {"schema": BINARY} for media_type in _MEDIA_TYPES.values()},
            "headers": _RESULT_HEADERS,
        },
        304: {"description": "The client has it", "headers": _RESULT_HEADERS},
        307: {
            "description": "The image is in the object store; the link is valid for an hour",
            "headers": {**CACHE_CONTROL, "Location": header("a signed URL", "https://...")},
        },
        **_WITH_FILE,
    },
)
async def result(
    job: JobDep,
    services: ServicesDep,
    if_none_match: Annotated[
        str | None, Header(description="the `ETag` of a result that the client has")
    ] = None,
) -> Response:
    """Return the result of the job."""
    if job.expired:
        raise ResultExpiredError("The result has been removed. Submit the job again.")
    if job.result is None:
        raise JobStateError(f"There is no result. The job is {job.status}.")
    etag = f'"{job.id}-{job.attempt}"'
    name = job.download_name(job.result)
    headers = {
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{name}"',
        **_UNCHANGING,
    }
    if _matches(etag, if_none_match):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    is_picture = job.kind is JobKind.STYLIZE
    link = await _stored(services.storage.link, job.result) if is_picture else None
    if link is not None:
        return RedirectResponse(link, headers=_LINKED)
    if job.kind is JobKind.EVALUATE:
        report = await _stored(partial(_report, job.id, services.storage), job.result)
        return Response(report, media_type="application/json", headers=headers)
    reader = await _stored(services.storage.open, job.result)
    return BlobResponse(reader, _MEDIA_TYPES[job.result.rpartition(".")[2]], headers)


@router.get(
    "/{job_id}/files/{name}",
    response_class=Response,
    responses={
        **files("A picture", "image/jpeg", headers=CACHE_CONTROL),
        **problem_responses(
            UnknownJobError,
            UnknownFileError,
            ResultExpiredError,
            StorageUnavailableError,
            StoreUnavailableError,
        ),
    },
)
async def extra_file(
    job: JobDep,
    name: Annotated[str, Path(description="as the report links it", examples=["mistake-01.jpg"])],
    services: ServicesDep,
) -> Response:
    """Return a file that belongs to the result: the thumbnail of a mistake."""
    if job.expired:
        raise ResultExpiredError("The files of the job have been removed.")
    if name not in job.extras:
        raise UnknownFileError(f"The job has no file {name!r}.")
    reader = await _stored(services.storage.open, job.extras[name])
    return BlobResponse(reader, "image/jpeg", _UNCHANGING)


@router.post("/{job_id}/finish", responses=_WITH_STATE)
async def finish_job(job: JobDep, services: ServicesDep) -> JobOut:
    """End the job early; the current state becomes the result."""
    return await job_document(await in_store(services.jobs.finish, job.id), services)


@router.post("/{job_id}/cancel", responses=_KNOWN)
async def cancel_job(job: JobDep, services: ServicesDep) -> JobOut:
    """Cancel the job. A finished job does not change."""
    cancelled = await in_store(services.jobs.cancel, job.id)
    if cancelled.status.is_terminal:
        await in_storage(remove_attempts, cancelled, services.storage)
    return await job_document(cancelled, services)


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=_WITH_STATE,
)
async def delete_job(job: JobDep, services: ServicesDep) -> None:
    """Remove a finished job and its files."""
    await in_store(services.jobs.remove, job.id)
    await in_storage(remove_files, job.id, services.storage)


def _report(job_id: str, storage: FileStorage, key: str) -> bytes:
    """Read a report for clients, in a thread because a large one would block the event loop."""
    return report_out(json.loads(storage.get(key)), job_id).model_dump_json().encode()


def _matches(etag: str, if_none_match: str | None) -> bool:
    """Return whether the client's copy is current (RFC 9110, section 13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    return etag in known or "*" in known


async def _stored(call: Callable[[str], T], key: str) -> T:
    """Call a storage method for a file that may be removed at the same moment."""
    try:
        return await in_storage(call, key)
    except FileNotFoundError as error:
        raise ResultExpiredError("The files of the job have just been removed.") from error
    except OSError as error:
        raise StorageUnavailableError(f"The file cannot be read: {error.strerror}.") from error
