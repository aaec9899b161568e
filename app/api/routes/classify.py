"""`POST /classify`: predictions for images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.api.decoding import decode_for
from app.api.deps import CallerDep, FlowDep, Services, ServicesDep, together, while_awaited
from app.api.errors import problem_of, problem_responses
from app.api.schemas.common import (
    Classification,
    Classifications,
    FileClassified,
    FileRefused,
    ImageOut,
    ModelReference,
    PredictionOut,
)
from app.api.schemas.media import BINARY
from app.api.uploads.forms import Layout, Upload
from app.api.uploads.receiver import PICTURE_REFUSALS
from app.serving.errors import (
    DeadlineError,
    InferenceError,
    ModelUnavailableError,
    UnknownModelError,
)
from app.serving.loader import ServedModel
from app.vision.errors import (
    ImageError,
)

router = APIRouter(tags=["classify"])

_LAYOUT = Layout(images=frozenset({"file"}), raw="file")
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": BINARY,
                            "minItems": 1,
                            "description": "one or more images; by default at most 64",
                        }
                    },
                    "additionalProperties": False,
                }
            },
            "image/*": {"schema": BINARY},
        },
    }
}


class ClassifyQuery(BaseModel):
    """The query of a classify request; other parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="a name from `GET /models`", examples=["cifar10"])
    top_k: int = Field(
        5,
        ge=1,
        description="the number of predictions; a larger number than there are classes means all",
    )


class ClassifyHeaders(BaseModel):
    """The headers of a classify request."""

    x_request_timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds that the client will wait after its images have been received, "
        "at most the limit of the service",
    )


@router.post(
    "/classify",
    openapi_extra=_REQUEST_BODY,
    responses=problem_responses(
        *PICTURE_REFUSALS,
        UnknownModelError,
        DeadlineError,
        InferenceError,
        ModelUnavailableError,
    ),
)
async def classify(
    request: Request,
    query: Annotated[ClassifyQuery, Query()],
    headers: Annotated[ClassifyHeaders, Header()],
    caller: CallerDep,
    flow: FlowDep,
    services: ServicesDep,
) -> Classification | Classifications:
    """Classify one or more images. Each is independent: a bad one fails alone."""
    await services.rate_limiter.check_pixels(caller)
    model = services.registry.get(query.model)
    most_s = services.classify_deadline_s
    deadline_s = min(headers.x_request_timeout or most_s, most_s)
    async with (
        services.uploads.receive(request, _LAYOUT, flow) as form,
        services.rate_limiter.counting(caller) as count_pixels,
        while_awaited(request, deadline_s),
    ):
        wanted = _Wanted(model, query.top_k, flow, count_pixels)
        if len(form.images) == 1:
            return await _classify_one(services, wanted, form.images[0])
        return await _classify_several(services, wanted, form.images)


@dataclass(frozen=True)
class _Wanted:
    """The work on each image of a request."""

    model: ServedModel
    top_k: int
    flow: str
    count_pixels: Callable[[int], None]


async def _classify_one(services: Services, wanted: _Wanted, upload: Upload) -> Classification:
    model = wanted.model
    prepared = await decode_for(services, model, upload.data, wanted.flow, wanted.count_pixels)
    probabilities = await model.batcher.submit(prepared.value, wanted.flow)
    return Classification(
        model=_reference(model),
        predictions=[
            PredictionOut.model_validate(prediction)
            for prediction in model.classifier.top_k(probabilities, wanted.top_k)
        ],
        image=ImageOut.model_validate(prepared),
    )


async def _classify_several(
    services: Services, wanted: _Wanted, uploads: list[Upload]
) -> Classifications:
    async def result(upload: Upload) -> FileClassified | FileRefused:
        try:
            answer = await _classify_one(services, wanted, upload)
        except ImageError as error:
            return FileRefused(filename=upload.filename, error=problem_of(error))
        return FileClassified(filename=upload.filename, predictions=answer.predictions)

    results = await together(*(result(upload) for upload in uploads))
    return Classifications(model=_reference(wanted.model), results=results)


def _reference(model: ServedModel) -> ModelReference:
    card = model.classifier.card
    return ModelReference(name=card.spec.name, version=card.version)
