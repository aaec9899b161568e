"""Dependencies of the endpoints, and the end of work for clients that have left."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from fastapi import Path as PathParameter
from starlette.requests import ClientDisconnect, Request

from app.api.auth.concurrency import ConcurrencyLimit
from app.api.auth.identity import Authenticator, flow_of
from app.api.auth.rate_limit import RateLimiter
from app.api.cached import Cached
from app.api.schemas.common import LimitsOut
from app.api.submissions import Submissions
from app.api.threads import in_store
from app.api.uploads.archives import ArchiveReceiver
from app.api.uploads.receiver import FormReceiver
from app.api.watch import JobWatch
from app.jobs.errors import UnknownJobError
from app.jobs.model import Job
from app.jobs.storage.base import FileStorage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.jobs.worker_registry import RegisteredWorker, WorkerRegistry
from app.metrics import Metrics
from app.serving.decoder import Decoder
from app.serving.errors import DeadlineError
from app.serving.registry import ModelRegistry
from app.serving.reloader import ModelReloader

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """The services of the web process; the lifespan yields them."""

    authenticator: Authenticator
    rate_limiter: RateLimiter
    registry: ModelRegistry
    reloader: ModelReloader
    uploads: FormReceiver
    archives: ArchiveReceiver
    datasets: Path
    decoder: Decoder
    metrics: Metrics
    jobs: JobStore
    storage: FileStorage
    spool: Spool
    worker_registry: WorkerRegistry
    recent_workers: Cached[list[RegisteredWorker]]
    submissions: Submissions
    watch: JobWatch
    streams: ConcurrencyLimit
    parsers: ConcurrencyLimit
    limits: LimitsOut
    classify_deadline_s: float


async def _services(request: Request) -> Services:
    services = request.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _caller(request: Request) -> str:
    caller = request.state.caller
    assert isinstance(caller, str)
    return caller


CallerDep = Annotated[str, Depends(_caller)]


async def _flow(request: Request) -> str:
    return flow_of(request.state.caller, request.client)


FlowDep = Annotated[str, Depends(_flow)]
"""The key of fair sharing: the caller, or without keys the client address."""


async def _admin(caller: CallerDep, services: ServicesDep) -> str:
    services.authenticator.check_admin(caller)
    return caller


AdminDep = Annotated[str, Depends(_admin)]


_JOB_ID = re.compile(r"[0-9a-f]{32}")


async def _job_id(
    job_id: Annotated[
        str,
        PathParameter(
            description="the `id` of a job", examples=["b9b9d41073574dfbbb2d26943f985afc"]
        ),
    ],
) -> str:
    """Refuse anything that cannot be an id; some databases reject certain characters."""
    if not _JOB_ID.fullmatch(job_id):
        raise UnknownJobError(f"there is no job {job_id!r}")
    return job_id


JobId = Annotated[str, Depends(_job_id)]


async def _job(job_id: JobId, caller: CallerDep, services: ServicesDep) -> Job:
    return await in_store(services.jobs.find, job_id, caller)


JobDep = Annotated[Job, Depends(_job)]


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines concurrently; the first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


@asynccontextmanager
async def while_awaited(request: Request, deadline_s: float) -> AsyncIterator[None]:
    """Cancel the work inside at the deadline, or when the client disconnects.

    The request must have been received in full.

    Raises:
        DeadlineError: the deadline has passed.
        ClientDisconnect: the client has disconnected.
    """
    is_gone = False

    async def leave_with_client() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        limit.reschedule(0)

    watching = asyncio.create_task(leave_with_client())
    try:
        async with asyncio.timeout(deadline_s) as limit:
            yield
    except TimeoutError:
        if is_gone:
            raise ClientDisconnect from None
        raise DeadlineError(f"no answer within {deadline_s:g} s; the service is busy") from None
    finally:
        watching.cancel()
