"""`POST /stylize`: a photograph and paintings in, a job out."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status
from starlette.concurrency import run_in_threadpool

from app.api.admission import DoesNotFitError, UnpaintableError, foresee
from app.api.deps import CallerDep, FlowDep, Services, ServicesDep, together
from app.api.errors import problem_responses, validated
from app.api.fields import about
from app.api.job_replies import JOB_MADE, JobHeadersDep, reply
from app.api.problems import InvalidRequestError
from app.api.routes.style_files import UnknownStyleError, style_path
from app.api.schemas.jobs import JobOut
from app.api.schemas.stylize import EstimateIn, EstimateOut, StylizeFields, form_schema
from app.api.submissions import JOB_REFUSALS, Asked, Order
from app.api.threads import in_store
from app.api.uploads.images import PICTURE_REFUSALS, Form, Layout
from app.api.uploads.json_body import REFUSALS, json_body, json_request_body
from app.jobs.errors import (
    StoreUnavailableError,
)
from app.jobs.model import Job, JobKind
from app.jobs.storage.spool import Incoming
from app.serving.decoder import DecodedImage
from app.style.schedule import fit
from app.vision.errors import (
    ImageError,
)

router = APIRouter(tags=["stylize"])


_LAYOUT = Layout(
    images=frozenset({"content", "style"}), fields=frozenset(StylizeFields.model_fields)
)
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": form_schema()}},
    }
}
_UNPAINTABLE = (DoesNotFitError, UnpaintableError, StoreUnavailableError)
SUBMITTING = (DoesNotFitError, UnpaintableError, *JOB_REFUSALS)


@router.post(
    "/stylize",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=_REQUEST_BODY,
    responses={
        **JOB_MADE,
        **problem_responses(
            *SUBMITTING,
            *PICTURE_REFUSALS,
            UnknownStyleError,
        ),
    },
)
async def stylize(
    request: Request,
    response: Response,
    caller: CallerDep,
    flow: FlowDep,
    services: ServicesDep,
    headers: JobHeadersDep,
) -> JobOut:
    """Paint a photograph in the style of one or several pictures: makes a job."""
    job = await _submitted(request, caller, flow, headers.idempotency_key, services)
    return await reply(job, headers, services, response)


@router.post(
    "/stylize/estimate",
    openapi_extra=json_request_body(EstimateIn),
    responses=problem_responses(*_UNPAINTABLE, *REFUSALS),
)
async def estimate_painting(
    asked: Annotated[EstimateIn, Depends(json_body(EstimateIn))], services: ServicesDep
) -> EstimateOut:
    """Say what a painting would cost, before its pictures are sent."""
    options = asked.options()
    size = (asked.width, asked.height)
    workers = await in_store(services.roster.workers)
    max_size = services.limits.max_size
    cost = foresee(options, size, workers, style_count=asked.styles, max_size=max_size)
    width, height = fit(*size, options.size)
    return EstimateOut(
        seconds=cost.seconds if cost else None,
        bytes=cost.bytes if cost else None,
        width=width,
        height=height,
    )


async def _submitted(
    request: Request, caller: str, flow: str, key: str | None, services: Services
) -> Job:
    """Receive a request and make its job; what was received is let go of."""
    with services.submissions.receiving(caller, key) as receiving:
        await services.allowance.check_pixels(caller)
        await receiving.check_room()
        async with services.uploads.receive(request, _LAYOUT, flow) as form:
            fields = validated(StylizeFields, _single(form.fields))
            content, styles = await run_in_threadpool(_pictures, form, fields.style_name)
            files = {"content": content, **{f"style-{n}": data for n, data in enumerate(styles)}}
            asked = Asked(JobKind.STYLIZE, fields.canonical(), files)
            before = await receiving.made_before(asked)
            if before is not None:
                return before
            return await receiving.create(await _order(fields, asked, caller, flow, services))


async def _order(
    fields: StylizeFields, asked: Asked, caller: str, flow: str, services: Services
) -> Order:
    options = fields.options()
    style_count = len(asked.files) - 1
    if options.style_weights and len(options.style_weights) != style_count:
        count = len(options.style_weights)
        raise InvalidRequestError(
            f"style_weights has {count} numbers for {style_count} styles", "style_weights"
        )
    async with services.allowance.counting(caller) as count_pixels:
        files = asked.files.items()
        photo, *_ = await together(
            *(_decoded(*file, flow, count_pixels, services) for file in files)
        )
    size = (photo.width, photo.height)
    workers = await in_store(services.roster.workers)
    max_size = services.limits.max_size
    with about("content", UnpaintableError), about("size", DoesNotFitError):
        cost = foresee(options, size, workers, style_count=style_count, max_size=max_size)
    width, height = fit(*size, options.size)
    shown = {
        "format": fields.format,
        "style_name": fields.style_name,
        "photo_width": photo.width,
        "photo_height": photo.height,
        "width": width,
        "height": height,
    }
    return Order(
        asked=asked,
        options={**asdict(options), **shown},
        files=asked.files,
        estimate_s=cost.seconds if cost else None,
    )


async def _decoded(
    name: str,
    data: bytes | Incoming,
    flow: str,
    count_pixels: Callable[[int], None],
    services: Services,
) -> DecodedImage[None]:
    """Decode one of the files that were sent; decoding it is the test."""
    assert isinstance(data, bytes)  # only archives come as files on the disk
    with about(name.partition("-")[0], ImageError):
        return await services.decoder.decode(data, lambda _image: None, flow, None, count_pixels)


def _pictures(form: Form, style_names: list[str]) -> tuple[bytes, list[bytes]]:
    """The photograph and the style pictures, encoded; a built-in style is its own file."""
    contents, styles = form.of("content"), form.of("style")
    if len(contents) != 1:
        raise InvalidRequestError(
            f"send one photograph in a part named content, not {len(contents)}", "content"
        )
    if bool(styles) == bool(style_names):
        raise InvalidRequestError(
            "send either style pictures or style_name, see GET /styles", "style"
        )
    with about("style_name", UnknownStyleError):
        built_in = [style_path(name).read_bytes() for name in style_names]
    return contents[0].data, [upload.data for upload in styles] or built_in


def _single(fields: dict[str, list[str]]) -> dict[str, Any]:
    """One value for each field but `style_name`, which may come several times."""
    repeated = [name for name, values in fields.items() if len(values) > 1 and name != "style_name"]
    if repeated:
        raise InvalidRequestError(f"the field {repeated[0]} was sent more than once", repeated[0])
    return {name: values if name == "style_name" else values[0] for name, values in fields.items()}
