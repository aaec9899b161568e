"""`POST /evaluate`: labelled images in, a job out whose result says how good a model is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.arriving import UploadTimeoutError, UploadTooLargeError
from app.api.deps import CallerDep, Services, ServicesDep
from app.api.errors import InvalidRequestError, problem_responses
from app.api.evaluate_schemas import DatasetOut, DatasetsOut
from app.api.job_schemas import JobOut
from app.api.multipart import MalformedUploadError
from app.api.replies import JobHeadersDep, reply
from app.api.submissions import Content, Order, StillReceivingError
from app.api.uploads import UnsupportedUploadError
from app.evaluation.datasets import find_dataset, list_datasets
from app.evaluation.errors import (
    ArchiveError,
    ArchiveTooLargeError,
    NothingLabelledError,
    UnknownDatasetError,
)
from app.evaluation.labelled import label, open_source
from app.jobs.errors import (
    IdempotencyError,
    JobQueueFullError,
    StorageFullError,
    StoreUnavailableError,
)
from app.jobs.job import ARCHIVE, Job, JobKind
from app.serving.errors import ModelUnavailableError, UnknownModelError
from app.serving.registry import ServedModel

router = APIRouter(tags=["evaluate"])

_ARCHIVE = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _ARCHIVE},
                }
            },
            "application/zip": {"schema": _ARCHIVE},
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
    engine: Engine = Engine.EXACT


@router.post(
    "/evaluate",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=_REQUEST_BODY,
    responses=problem_responses(
        UnknownModelError,
        UnknownDatasetError,
        UploadTimeoutError,
        UploadTooLargeError,
        ArchiveTooLargeError,
        UnsupportedUploadError,
        MalformedUploadError,
        ArchiveError,
        NothingLabelledError,
        IdempotencyError,
        StillReceivingError,
        JobQueueFullError,
        StorageFullError,
        StoreUnavailableError,
        ModelUnavailableError,
    ),
)
async def evaluate(
    request: Request,
    query: Annotated[EvaluateQuery, Query()],
    headers: JobHeadersDep,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
) -> JobOut:
    """Evaluate a model on a zip archive with a folder for each class, or on a data set: a job."""
    model = services.registry.get(query.model)
    key = headers.idempotency_key
    with services.submissions.receiving(caller, key):
        await services.submissions.check_room(caller, key)
        job = await _submitted(request, query, model, caller, key, services)
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
    caller: str,
    key: str | None,
    services: Services,
) -> Job:
    if query.dataset is not None:
        if _has_body(request):
            raise InvalidRequestError("send an archive or name a data set, not both")
        path = await run_in_threadpool(find_dataset, services.datasets, query.dataset)
        order = await run_in_threadpool(_order, path, {}, query, model, services)
        return await services.submissions.create(caller, key, order)
    async with services.archives.receive(request) as incoming:
        order = await run_in_threadpool(
            _order, incoming.path, {ARCHIVE: incoming}, query, model, services
        )
        return await services.submissions.create(caller, key, order)


def _order(
    path: Path,
    files: dict[str, Content],
    query: EvaluateQuery,
    model: ServedModel,
    services: Services,
) -> Order:
    """Look whether there is something to evaluate on, and describe the job."""
    card = model.classifier.card
    with open_source(path, services.archives.limits) as source:
        labels = label(source.names, card.spec.class_of)
    asked = {"model": card.spec.name, "dataset": query.dataset, "engine": query.engine}
    return Order(
        kind=JobKind.EVALUATE,
        options={**asked, "version": card.version, "images": len(labels.files)},
        files=files,
        request=asked,
    )


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers
