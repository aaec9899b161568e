"""`POST /stylize`: a painting of a photograph in the style of other pictures, as a job."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status
from starlette.concurrency import run_in_threadpool

from app.api.admission import DoesNotFitError, UnpaintableError, check_admission
from app.api.deps import Services, ServicesDep, together
from app.api.errors import problem_responses, validated
from app.api.job_replies import JOB_MADE, JobHeadersDep, SenderDep, job_reply
from app.api.problems import InvalidRequestError, form_field
from app.api.routes.styles import UnknownStyleError, style_path
from app.api.schemas.jobs import JobOut
from app.api.schemas.stylize import EstimateIn, EstimateOut, StylizeFields, form_schema
from app.api.submissions import JOB_REFUSALS, JobDraft, JobRequest, Sender
from app.api.threads import in_store
from app.api.uploads.forms import Form, Layout
from app.api.uploads.json_body import REFUSALS, json_body, json_request_body
from app.api.uploads.receiver import PICTURE_REFUSALS
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
    sender: SenderDep,
    services: ServicesDep,
    headers: JobHeadersDep,
) -> JobOut:
    """Paint a photograph in the style of one or more pictures. Creates a job."""
    job = await _submitted(request, sender, services)
    return await job_reply(job, headers, services, response)


@router.post(
    "/stylize/estimate",
    openapi_extra=json_request_body(EstimateIn),
    responses=problem_responses(*_UNPAINTABLE, *REFUSALS),
)
async def estimate_painting(
    job_request: Annotated[EstimateIn, Depends(json_body(EstimateIn))], services: ServicesDep
) -> EstimateOut:
    """Estimate the cost of a painting before its pictures are sent."""
    options = job_request.options()
    size = (job_request.width, job_request.height)
    workers = await in_store(services.worker_registry.workers)
    max_size = services.limits.max_size
    cost = check_admission(
        options, size, workers, style_count=job_request.styles, max_size=max_size
    )
    width, height = fit(*size, options.size)
    return EstimateOut(
        seconds=cost.seconds if cost else None,
        bytes=cost.bytes if cost else None,
        width=width,
        height=height,
    )


async def _submitted(request: Request, sender: Sender, services: Services) -> Job:
    """Receive a request and create its job."""
    submissions = services.submissions
    with submissions.holding_key(sender):
        await services.rate_limiter.check_pixels(sender.caller)
        await submissions.check_room(sender)
        async with services.uploads.receive(request, _LAYOUT, sender.flow) as form:
            fields = validated(StylizeFields, _single(form.fields))
            content, styles = await run_in_threadpool(_pictures, form, fields.style_name)
            files = {"content": content, **{f"style-{n}": data for n, data in enumerate(styles)}}
            job_request = JobRequest(JobKind.STYLIZE, fields.canonical(), files)
            before = await submissions.made_before(sender, job_request)
            if before is not None:
                return before
            draft = await _draft(fields, job_request, sender, services)
            return await submissions.create(sender, draft)


async def _draft(
    fields: StylizeFields, job_request: JobRequest, sender: Sender, services: Services
) -> JobDraft:
    options = fields.options()
    style_count = len(job_request.files) - 1
    if options.style_weights and len(options.style_weights) != style_count:
        count = len(options.style_weights)
        raise InvalidRequestError(
            f"style_weights has {count} numbers for {style_count} styles", field="style_weights"
        )
    async with services.rate_limiter.counting(sender.caller) as count_pixels:
        files = job_request.files.items()
        photo, *_ = await together(
            *(_decoded(*file, sender.flow, count_pixels, services) for file in files)
        )
    size = (photo.width, photo.height)
    workers = await in_store(services.worker_registry.workers)
    max_size = services.limits.max_size
    with form_field("content", UnpaintableError), form_field("size", DoesNotFitError):
        cost = check_admission(options, size, workers, style_count=style_count, max_size=max_size)
    width, height = fit(*size, options.size)
    shown = {
        "format": fields.format,
        "style_name": fields.style_name,
        "photo_width": photo.width,
        "photo_height": photo.height,
        "width": width,
        "height": height,
    }
    return JobDraft(
        job_request=job_request,
        options={**asdict(options), **shown},
        files=job_request.files,
        estimate_s=cost.seconds if cost else None,
    )


async def _decoded(
    name: str,
    data: bytes | Incoming,
    flow: str,
    count_pixels: Callable[[int], None],
    services: Services,
) -> DecodedImage[None]:
    """Decode an uploaded picture, to check it."""
    assert isinstance(data, bytes)  # only archives are files on the disk
    with form_field(name.partition("-")[0], ImageError):
        return await services.decoder.decode(data, lambda _image: None, flow, None, count_pixels)


def _pictures(form: Form, style_names: list[str]) -> tuple[bytes, list[bytes]]:
    """Return the photograph and the style pictures, encoded."""
    contents, styles = form.of("content"), form.of("style")
    if len(contents) != 1:
        raise InvalidRequestError(
            f"Send one photograph in a part named content, not {len(contents)}.", field="content"
        )
    if bool(styles) == bool(style_names):
        raise InvalidRequestError(
            "Send either style pictures or style_name (see GET /styles).", field="style"
        )
    with form_field("style_name", UnknownStyleError):
        built_in = [style_path(name).read_bytes() for name in style_names]
    return contents[0].data, [upload.data for upload in styles] or built_in


def _single(fields: dict[str, list[str]]) -> dict[str, Any]:
    """Return one value per field, and a list for `style_name`, which may be repeated."""
    repeated = [name for name, values in fields.items() if len(values) > 1 and name != "style_name"]
    if repeated:
        raise InvalidRequestError(
            f"The field {repeated[0]} was sent more than once.", field=repeated[0]
        )
    return {name: values if name == "style_name" else values[0] for name, values in fields.items()}
