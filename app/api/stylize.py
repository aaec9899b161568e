"""`POST /stylize`: a photograph and paintings in, a job out."""

from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Request, Response, status
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.api.arriving import UploadTimeoutError, UploadTooLargeError
from app.api.deps import CallerDep, JobDep, Services, ServicesDep, together
from app.api.errors import InvalidRequestError, problem_responses, validated
from app.api.foresight import DoesNotFitError, UnpaintableError, foresee
from app.api.job_schemas import JobOut
from app.api.multipart import MalformedUploadError
from app.api.replies import JobHeadersDep, reply
from app.api.style_files import UnknownStyleError, style_path
from app.api.stylize_schemas import (
    ContinueIn,
    EstimateIn,
    EstimateOut,
    StylizeFields,
    form_schema,
)
from app.api.submissions import Order, StillReceivingError
from app.api.uploads import Form, Layout, UnsupportedUploadError, UploadsBusyError
from app.jobs.errors import (
    IdempotencyError,
    JobQueueFullError,
    JobStateError,
    ResultExpiredError,
    StorageFullError,
    StoreUnavailableError,
    UnknownJobError,
)
from app.jobs.job import BEGUN, Job, JobKind
from app.serving.errors import QueueFullError
from app.style.options import StyleOptions
from app.style.schedule import fit, plan
from app.vision.errors import ImageTooLargeError, UndecodableImageError, UnsupportedFormatError

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
_SUBMITTING = (
    DoesNotFitError,
    UnpaintableError,
    IdempotencyError,
    StillReceivingError,
    JobQueueFullError,
    StorageFullError,
    StoreUnavailableError,
)


@router.post(
    "/stylize",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=_REQUEST_BODY,
    responses=problem_responses(
        *_SUBMITTING,
        UnknownStyleError,
        UploadTimeoutError,
        ImageTooLargeError,
        UploadTooLargeError,
        UnsupportedFormatError,
        UnsupportedUploadError,
        UndecodableImageError,
        MalformedUploadError,
        UploadsBusyError,
        QueueFullError,
    ),
)
async def stylize(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    headers: JobHeadersDep,
) -> JobOut:
    """Paint a photograph in the style of one or several pictures: makes a job."""
    job = await _submitted(request, caller, headers.idempotency_key, services)
    return await reply(job, headers, services, response)


@router.post("/stylize/estimate", responses=problem_responses(*_UNPAINTABLE))
async def estimate_painting(asked: EstimateIn, services: ServicesDep) -> EstimateOut:
    """Say what a painting would cost, before its pictures are sent."""
    options = asked.options()
    size = (asked.width, asked.height)
    workers = await run_in_threadpool(services.roster.workers)
    cost = foresee(options, size, workers, style_count=asked.styles, max_size=services.max_size)
    width, height = fit(*size, options.size)
    return EstimateOut(
        seconds=cost.seconds if cost else None,
        bytes=cost.bytes if cost else None,
        width=width,
        height=height,
    )


@router.post(
    "/jobs/{job_id}/continue",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problem_responses(*_SUBMITTING, UnknownJobError, JobStateError, ResultExpiredError),
)
async def continue_job(
    job: JobDep,
    asked: ContinueIn,
    response: Response,
    services: ServicesDep,
    headers: JobHeadersDep,
) -> JobOut:
    """Go on from a finished painting, larger or longer: makes a new job."""
    key = headers.idempotency_key
    with services.submissions.receiving(job.owner, key):
        await services.submissions.check_room(job.owner, key)
        order = await _continuation(job, asked, services)
        begun = await services.submissions.create(job.owner, key, order)
    return await reply(begun, headers, services, response)


async def _submitted(request: Request, caller: str, key: str | None, services: Services) -> Job:
    """Receive a request and make its job; what was received is let go of."""
    with services.submissions.receiving(caller, key):
        await services.submissions.check_room(caller, key)
        async with services.uploads.receive(request, _LAYOUT) as form:
            return await services.submissions.create(caller, key, await _order(form, services))


async def _order(form: Form, services: Services) -> Order:
    fields = validated(StylizeFields, _single(form.fields))
    options = fields.options()
    content, styles = await run_in_threadpool(_pictures, form, fields.style_name)
    if options.style_weights and len(options.style_weights) != len(styles):
        raise InvalidRequestError(
            f"style_weights has {len(options.style_weights)} numbers for {len(styles)} styles"
        )
    prepared, *_ = await together(
        *(services.decoder.prepare(data, _look) for data in (content, *styles))
    )
    size = (prepared.width, prepared.height)
    workers = await run_in_threadpool(services.roster.workers)
    cost = foresee(options, size, workers, style_count=len(styles), max_size=services.max_size)
    width, height = fit(*size, options.size)
    shown = {
        "format": fields.format,
        "style_name": fields.style_name,
        "photo_width": prepared.width,
        "photo_height": prepared.height,
        "width": width,
        "height": height,
    }
    return Order(
        kind=JobKind.STYLIZE,
        options={**asdict(options), **shown},
        files={"content": content, **{f"style-{n}": data for n, data in enumerate(styles)}},
        request=fields.model_dump(mode="json"),
        estimate_s=cost.seconds if cost else None,
    )


async def _continuation(job: Job, asked: ContinueIn, services: Services) -> Order:
    if job.expired:
        raise ResultExpiredError("the painting has been removed; paint it again")
    if job.kind is not JobKind.STYLIZE or job.painting is None:
        raise JobStateError(f"only a finished painting can be gone on with; this is {job.status}")
    options = _continued(StyleOptions.from_json(job.options), asked)
    photo = (job.options["photo_width"], job.options["photo_height"])
    begun_px = job.progress.size if job.progress else None
    cost = foresee(
        options,
        photo,
        await run_in_threadpool(services.roster.workers),
        style_count=sum(name.startswith("style-") for name in job.inputs),
        max_size=services.max_size,
        begun_px=begun_px,
    )
    last = plan(options, *photo)[-1]
    if begun_px and begun_px > max(last.width, last.height):
        raise InvalidRequestError(
            f"quality {options.quality} would paint this at {max(last.width, last.height)} px, and "
            f"the painting has {begun_px} already; take another quality or a larger size"
        )
    width, height = fit(*photo, options.size)
    return Order(
        kind=JobKind.STYLIZE,
        options={**job.options, **asdict(options), "width": width, "height": height},
        files={**job.inputs, BEGUN: job.painting},
        request={"continue": job.id, **asked.model_dump(mode="json")},
        estimate_s=cost.seconds if cost else None,
    )


def _continued(before: StyleOptions, asked: ContinueIn) -> StyleOptions:
    given = asked.model_dump(exclude_none=True)
    if asked.strength is not None:
        given |= {"content_weight": None, "style_weight": None}
    try:
        options = replace(before, **given)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    if options.size < before.size:
        raise InvalidRequestError(f"size must be at least the painting's, {before.size}")
    return options


def _pictures(form: Form, style_names: list[str]) -> tuple[bytes, list[bytes]]:
    """The photograph and the style pictures, encoded; a built-in style is its own file."""
    contents, styles = form.of("content"), form.of("style")
    if len(contents) != 1:
        raise InvalidRequestError(
            f"send one photograph in a part named content, not {len(contents)}"
        )
    if bool(styles) == bool(style_names):
        raise InvalidRequestError("send either style pictures or style_name, see GET /styles")
    built_in = [style_path(name).read_bytes() for name in style_names]
    return contents[0].data, [upload.data for upload in styles] or built_in


def _single(fields: dict[str, list[str]]) -> dict[str, Any]:
    """One value for each field but `style_name`, which may come several times."""
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated and repeated != ["style_name"]:
        raise InvalidRequestError(f"the field {repeated[0]} was sent more than once")
    return {name: values if name == "style_name" else values[0] for name, values in fields.items()}


def _look(image: Image.Image) -> None:
    """Decoding it was the test."""
    del image
