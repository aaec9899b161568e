"""`POST /evaluate`: evaluation of a model on labeled images, as a job."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.deps import Services, ServicesDep
from app.api.errors import problem_responses
from app.api.job_replies import JOB_MADE, JobHeadersDep, SenderDep, job_reply
from app.api.problems import InvalidRequestError
from app.api.schemas.evaluate import DatasetOut, DatasetsOut
from app.api.schemas.jobs import JobOut
from app.api.schemas.media import BINARY
from app.api.submissions import JOB_REFUSALS, JobDraft, JobRequest, Sender
from app.api.uploads.body import UploadTimeoutError, UploadTooLargeError
from app.api.uploads.forms import UnsupportedUploadError
from app.api.uploads.multipart import MalformedUploadError
from app.evaluation.datasets import find_dataset, list_datasets
from app.evaluation.errors import (
    ArchiveError,
    ArchiveTooLargeError,
    NoLabeledFilesError,
    UnknownDatasetError,
)
from app.evaluation.labeled_images import label_files, open_source
from app.jobs.model import ARCHIVE, Job, JobKind
from app.jobs.storage.spool import Incoming
from app.serving.errors import ModelUnavailableError, UnknownModelError
from app.serving.loader import ServedModel

router = APIRouter(tags=["evaluate"])

_ARCHIVE = {
    **BINARY,
    "description": "a zip archive with a folder of images for each class: `cat/1.jpg`",
}
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "an archive, unless the query names a data set",
        "required": False,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _ARCHIVE},
                    "additionalProperties": False,
                }
            },
            "application/zip": {"schema": _ARCHIVE},
            "application/x-zip-compressed": {"schema": _ARCHIVE},
            "application/octet-stream": {"schema": _ARCHIVE},
        },
    }
}


class Engine(StrEnum):
    """The engine that computes the predictions."""

    EXACT = "exact"  # PyTorch in float32
    SERVED = "served"  # what `POST /classify` uses


class EvaluateQuery(BaseModel):
    """The query of an evaluate request; other parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="a name from `GET /models`", examples=["cifar10"])
    dataset: str | None = Field(None, description="a name from `GET /datasets`, without an archive")
    engine: Engine = Field(
        Engine.EXACT,
        description="`exact`: PyTorch in float32; `served`: what `POST /classify` uses",
    )


@router.post(
    "/evaluate",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=_REQUEST_BODY,
    responses={
        **JOB_MADE,
        **problem_responses(
            UnknownModelError,
            UnknownDatasetError,
            UploadTimeoutError,
            UploadTooLargeError,
            ArchiveTooLargeError,
            UnsupportedUploadError,
            MalformedUploadError,
            ArchiveError,
            NoLabeledFilesError,
            ModelUnavailableError,
            *JOB_REFUSALS,
        ),
    },
)
async def evaluate(
    request: Request,
    query: Annotated[EvaluateQuery, Query()],
    headers: JobHeadersDep,
    response: Response,
    sender: SenderDep,
    services: ServicesDep,
) -> JobOut:
    """Evaluate a model on a zip archive with one folder per class, or on a data set, as a job."""
    model = services.registry.get(query.model)
    with services.submissions.holding_key(sender):
        await services.submissions.check_room(sender)
        job = await _submitted(request, query, model, sender, services)
    return await job_reply(job, headers, services, response)


@router.get("/datasets")
async def datasets(services: ServicesDep) -> DatasetsOut:
    """List the data sets that the operator has put on this host."""
    found = await run_in_threadpool(list_datasets, services.datasets)
    return DatasetsOut(datasets=[DatasetOut.model_validate(each) for each in found])


async def _submitted(
    request: Request,
    query: EvaluateQuery,
    model: ServedModel,
    sender: Sender,
    services: Services,
) -> Job:
    """Receive a request and create its job; delete an archive that the job does not take over."""
    if query.dataset is None:
        if not _has_body(request):
            raise InvalidRequestError("Send a zip archive, or name a data set: ?dataset=NAME.")
        async with services.archives.receive(request, sender.caller) as incoming:
            job_request = _job_request(query, model, {ARCHIVE: incoming})
            return await _made(incoming.path, job_request, sender, services)
    if _has_body(request):
        raise InvalidRequestError("Send an archive or name a data set, not both.")
    path = await run_in_threadpool(find_dataset, services.datasets, query.dataset)
    return await _made(path, _job_request(query, model, {}), sender, services)


def _job_request(
    query: EvaluateQuery, model: ServedModel, files: Mapping[str, Incoming]
) -> JobRequest:
    name = model.classifier.card.spec.name
    request = {"model": name, "dataset": query.dataset, "engine": query.engine}
    return JobRequest(JobKind.EVALUATE, request, files)


async def _made(path: Path, job_request: JobRequest, sender: Sender, services: Services) -> Job:
    """Create the job, unless its key created one before. The set must have labeled images."""
    before = await services.submissions.made_before(sender, job_request)
    if before is not None:
        return before
    name = job_request.fields["model"]
    card = services.registry.get(name).classifier.card  # the model may have been replaced meanwhile

    def labeled() -> int:
        with open_source(path, services.archives.limits) as source:
            return len(label_files(source.names, card.spec.class_of).files)

    images = await services.archives.opened(labeled, sender.flow)
    options = {**job_request.fields, "version": card.version, "images": images}
    return await services.submissions.create(
        sender, JobDraft(job_request, options, job_request.files)
    )


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers
