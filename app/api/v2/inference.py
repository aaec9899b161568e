"""`POST /v2/models/.../infer`: inference on image tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from torch import Tensor

from app.api.auth.concurrency import TooManyAtOnceError
from app.api.auth.rate_limit import RateLimitedError
from app.api.decoding import decode_for
from app.api.deps import CallerDep, FlowDep, Services, ServicesDep, together, while_awaited
from app.api.routes.classify import ClassifyHeaders
from app.api.schemas.media import BINARY, REFERENCES, header
from app.api.threads import in_parser
from app.api.uploads.decompression import UnsupportedEncodingError
from app.api.uploads.receiver import PICTURE_REFUSALS
from app.api.v2 import input_tensors, signature
from app.api.v2.deps import FAILURES, ServedDep, ServedVersionDep
from app.api.v2.errors import MalformedInferenceError, protocol_responses
from app.api.v2.output_tensors import output
from app.api.v2.request_body import LENGTH_HEADER, is_large, take_request
from app.api.v2.schemas import (
    InferenceRequest,
    InferenceResponse,
    OutputParameters,
)
from app.serving.errors import DeadlineError, InferenceError
from app.serving.loader import ServedModel
from app.vision.errors import ImageError

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_OCTETS = "application/octet-stream"
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, and after it binary data where {LENGTH_HEADER} says how long the "
        "JSON is; 0 stands for an image without any JSON",
        "content": {
            "application/json": {
                "schema": InferenceRequest.model_json_schema(ref_template=REFERENCES)
            },
            _OCTETS: {"schema": BINARY},
        },
    }
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": InferenceResponse,
        "description": "JSON, followed by the output if binary data was requested",
        "content": {_OCTETS: {"schema": BINARY}},
        "headers": {
            LENGTH_HEADER: header(
                "bytes of the JSON that precedes binary data", "181", required=False
            )
        },
    },
    **protocol_responses(
        *PICTURE_REFUSALS,
        *FAILURES,
        UnsupportedEncodingError,
        MalformedInferenceError,
        DeadlineError,
        InferenceError,
        RateLimitedError,
        TooManyAtOnceError,
    ),
}


class InferHeaders(ClassifyHeaders):
    """The headers of an inference request."""

    inference_header_content_length: int | None = Field(
        None, ge=0, description="bytes of the JSON, if binary data follows it"
    )


@dataclass(frozen=True)
class _Call:
    """A request that has not been received yet."""

    request: Request
    headers: InferHeaders
    caller: str
    flow: str
    services: Services


@dataclass(frozen=True)
class _Work:
    """The work on each image of a request."""

    model: ServedModel
    services: Services
    flow: str
    count_pixels: Callable[[int], None]


async def _call(
    request: Request,
    headers: Annotated[InferHeaders, Header()],
    caller: CallerDep,
    flow: FlowDep,
    services: ServicesDep,
) -> _Call:
    return _Call(request, headers, caller, flow, services)


CallDep = Annotated[_Call, Depends(_call)]


@router.post("/models/{model_name}/infer", openapi_extra=_REQUEST_BODY, responses=_RESPONSES)
async def infer(model: ServedDep, call: CallDep) -> Response:
    """Classify the images of a tensor."""
    return await _infer(model, call)


@router.post(
    "/models/{model_name}/versions/{model_version}/infer",
    openapi_extra=_REQUEST_BODY,
    responses=_RESPONSES,
)
async def infer_version(model: ServedVersionDep, call: CallDep) -> Response:
    """Classify the images of a tensor, if the model is served in this version."""
    return await _infer(model, call)


async def _infer(model: ServedModel, call: _Call) -> Response:
    services = call.services
    await services.rate_limiter.check_pixels(call.caller)
    async with (
        services.uploads.receive_whole(call.request, call.flow) as body,
        services.rate_limiter.counting(call.caller) as count_pixels,
    ):
        length = call.headers.inference_header_content_length
        work = _Work(model, services, call.flow, count_pixels)
        if is_large(body, length):
            with services.parsers.taken(call.flow):
                asked, images = await in_parser(_read, body, length, work)
        else:
            asked, images = await run_in_threadpool(_read, body, length, work)
        wanted = _wanted_output(asked)
        async with while_awaited(call.request, _deadline_s(asked, call)):
            rows = await together(*(_row(at, image, work) for at, image in enumerate(images)))
    return _answer(asked, wanted, model, rows)


def _read(
    body: bytearray, header_length: int | None, work: _Work
) -> tuple[InferenceRequest, Sequence[bytes | Tensor]]:
    """Return the request, without its inputs, and its images."""
    asked = take_request(body, header_length)
    images = _images(asked, body, work)
    return asked.model_copy(update={"inputs": []}), images  # numbers in JSON take much memory


def _wanted_output(asked: InferenceRequest) -> OutputParameters:
    if not asked.outputs:
        return OutputParameters()
    wanted = asked.outputs[0].parameters or OutputParameters()
    if wanted.shared_memory_region is not None:
        raise MalformedInferenceError("Shared memory is not supported. Request binary data.")
    return wanted


def _images(asked: InferenceRequest, body: bytearray, work: _Work) -> Sequence[bytes | Tensor]:
    """Take the images out of the body: image files, or preprocessed pictures."""
    (given,) = asked.inputs
    spec = work.model.classifier.card.spec.input
    signature.check(given, spec, work.services.limits.max_request_files)
    if given.datatype == "BYTES":
        files = input_tensors.files(given, body)
        body.clear()  # never all of a request twice
        return files
    work.count_pixels(given.shape[0] * spec.height * spec.width)  # also if they are refused
    return input_tensors.pictures(given, body)


async def _row(at: int, image: bytes | Tensor, work: _Work) -> Tensor:
    model = work.model
    if isinstance(image, Tensor):
        return await model.batcher.submit(image, work.flow)
    try:
        prepared = await decode_for(work.services, model, image, work.flow, work.count_pixels)
    except ImageError as error:
        raise type(error)(f"image {at}: {error}") from error
    return await model.batcher.submit(prepared.value, work.flow)


def _deadline_s(asked: InferenceRequest, call: _Call) -> float:
    """Return the smallest limit of the service, the header and the parameter."""
    timeout_us = asked.parameters.timeout if asked.parameters else 0
    most_s = call.services.classify_deadline_s
    return min(call.headers.x_request_timeout or most_s, timeout_us / 1e6 or most_s, most_s)


def _answer(
    asked: InferenceRequest, wanted: OutputParameters, model: ServedModel, rows: list[Tensor]
) -> Response:
    binary = asked.parameters is not None and asked.parameters.binary_data_output
    made, data = output(rows, model.classifier, wanted, binary=binary)
    answer = InferenceResponse(
        model_name=model.classifier.card.spec.name,
        model_version=model.version,
        id=asked.id,
        outputs=[made],
    )
    text = answer.model_dump_json().encode()
    if made.parameters is None:
        return Response(text, media_type="application/json")
    return Response(text + data, media_type=_OCTETS, headers={LENGTH_HEADER: str(len(text))})
