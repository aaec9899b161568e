"""`POST /evaluate`: labelled images in, a job out whose result says how good a model is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.deps import CallerDep, FlowDep, Services, ServicesDep
from app.api.errors import problem_responses
from app.api.job_replies import JOB_MADE, JobHeadersDep, reply
from app.api.problems import InvalidRequestError
from app.api.schemas.evaluate import DatasetOut, DatasetsOut
from app.api.schemas.jobs import JobOut
from app.api.schemas.media import BINARY
from app.api.submissions import JOB_REFUSALS, Asked, Order, Receiving
from app.api.uploads.body import UploadTimeoutError, UploadTooLargeError
from app.api.uploads.images import UnsupportedUploadError
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
        "description": "an archive, where no data set is named",
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
    """What computes the answers."""

    EXACT = "exact"  # PyTorch in float32
    SERVED = "served"  # what `POST /classify` uses


class EvaluateQuery(BaseModel):
    """The query of an evaluate request; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="a name from `GET /models`", examples=["cifar10"])
    dataset: str | None = Field(None, description="a name from `GET /datasets`, without an archive")
    engine: Engine = Field(
        Engine.EXACT,
        description="`exact`: PyTorch in float32; `served`: what `POST /classify` uses",
    )


@dataclass(frozen=True)
class _Sender:
    """Names under which the sender of a request is counted."""

    caller: str
    flow: str


async def _sender(caller: CallerDep, flow: FlowDep) -> _Sender:
    return _Sender(caller, flow)


SenderDep = Annotated[_Sender, Depends(_sender)]


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
    """Evaluate a model on a zip archive with a folder for each class, or on a data set: a job."""
    model = services.registry.get(query.model)
    with services.submissions.receiving(sender.caller, headers.idempotency_key) as receiving:
        await receiving.check_room()
        job = await _submitted(request, query, model, receiving, sender.flow, services)
    return await reply(job, headers, services, response)


@router.get("/datasets")
async def datasets(services: ServicesDep) -> DatasetsOut:
    """List the data sets that the operator has put on this host."""
    found = await run_in_threadpool(list_datasets, services.datasets)
    return DatasetsOut(datasets=[DatasetOut.model_validate(each) for each in found])


async def _submitted(
    request: Request,
    query: EvaluateQuery,
    model: ServedModel,
    receiving: Receiving,
    flow: str,
    services: Services,
) -> Job:
    """Receive a request and make its job; an archive that it does not take is let go of."""
    if query.dataset is None:
        if not _has_body(request):
            raise InvalidRequestError("send a zip archive, or name a data set: ?dataset=NAME")
        async with services.archives.receive(request, receiving.owner) as incoming:
            asked = _asked(query, model, {ARCHIVE: incoming})
            return await _made(incoming.path, asked, receiving, flow, services)
    if _has_body(request):
        raise InvalidRequestError("send an archive or name a data set, not both")
    path = await run_in_threadpool(find_dataset, services.datasets, query.dataset)
    return await _made(path, _asked(query, model, {}), receiving, flow, services)


def _asked(query: EvaluateQuery, model: ServedModel, files: Mapping[str, Incoming]) -> Asked:
    name = model.classifier.card.spec.name
    request = {"model": name, "dataset": query.dataset, "engine": query.engine}
    return Asked(JobKind.EVALUATE, request, files)


async def _made(
    path: Path, asked: Asked, receiving: Receiving, flow: str, services: Services
) -> Job:
    """Make the job, if its key did not before and there is something to evaluate on."""
    before = await receiving.made_before(asked)
    if before is not None:
        return before
    name = asked.request["model"]
    card = services.registry.get(name).classifier.card  # it may have been replaced meanwhile

    def labelled() -> int:
        with open_source(path, services.archives.limits) as source:
            return len(label_files(source.names, card.spec.class_of).files)

    images = await services.archives.opened(labelled, flow)
    options = {**asked.request, "version": card.version, "images": images}
    return await receiving.create(Order(asked, options, asked.files))


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers
