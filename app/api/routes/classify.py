"""`POST /classify`: images in, labels out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.api.decoding import prepare
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
from app.api.uploads.images import PICTURE_REFUSALS, Layout, Upload
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
                            "description": "one image, or several; by default at most 64",
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
    """The query of a classify request; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="a name from `GET /models`", examples=["cifar10"])
    top_k: int = Field(5, ge=1, description="how many classes; more than there are means all")


class ClassifyHeaders(BaseModel):
    """The headers of a classify request."""

    x_request_timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds that the client will wait, once all of its images have arrived; "
        "not more than the service allows",
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
    """Label one image, or several at once (each on its own: a bad one fails alone)."""
    await services.allowance.check_pixels(caller)
    model = services.registry.get(query.model)
    most_s = services.classify_deadline_s
    deadline_s = min(headers.x_request_timeout or most_s, most_s)
    async with (
        services.uploads.receive(request, _LAYOUT, flow) as form,
        services.allowance.counting(caller) as count_pixels,
        while_awaited(request, deadline_s),
    ):
        wanted = _Wanted(model, query.top_k, flow, count_pixels)
        if len(form.images) == 1:
            return await _classify_one(services, wanted, form.images[0])
        return await _classify_several(services, wanted, form.images)


@dataclass(frozen=True)
class _Wanted:
    """What is done with every image of a request."""

    model: ServedModel
    top_k: int
    flow: str
    count_pixels: Callable[[int], None]


async def _classify_one(services: Services, wanted: _Wanted, upload: Upload) -> Classification:
    model = wanted.model
    prepared = await prepare(services, model, upload.data, wanted.flow, wanted.count_pixels)
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
