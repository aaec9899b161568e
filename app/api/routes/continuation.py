"""`POST /jobs/{id}/continue`: goes on from a finished painting, larger or longer."""

from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status

from app.api.admission import foresee
from app.api.deps import CallerDep, JobId, Services, ServicesDep
from app.api.errors import problem_responses
from app.api.job_replies import JOB_MADE, JobHeadersDep, reply
from app.api.problems import InvalidRequestError
from app.api.routes.stylize import SUBMITTING
from app.api.schemas.jobs import JobOut
from app.api.schemas.stylize import ContinueIn
from app.api.submissions import Asked, Order
from app.api.threads import in_store
from app.api.uploads.json_body import REFUSALS, json_body, json_request_body
from app.jobs.errors import JobStateError, ResultExpiredError, UnknownJobError
from app.jobs.model import BEGUN, Job, JobKind
from app.style.options import StyleOptions
from app.style.schedule import fit, plan

router = APIRouter(tags=["stylize"])


@router.post(
    "/jobs/{job_id}/continue",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=json_request_body(ContinueIn),
    responses={
        **JOB_MADE,
        **problem_responses(
            *SUBMITTING, *REFUSALS, UnknownJobError, JobStateError, ResultExpiredError
        ),
    },
)
async def continue_job(
    job_id: JobId,
    changes: Annotated[ContinueIn, Depends(json_body(ContinueIn))],
    headers: JobHeadersDep,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
) -> JobOut:
    """Go on from a finished painting, larger or longer: makes a new job."""
    request = {"continue": job_id, **changes.model_dump(mode="json", exclude_unset=True)}
    asked = Asked(JobKind.STYLIZE, request)
    with services.submissions.receiving(caller, headers.idempotency_key) as receiving:
        await receiving.check_room()
        job = await receiving.made_before(asked)
        if job is None:
            begun = await in_store(services.jobs.find, job_id, caller)
            job = await receiving.create(await _order(begun, changes, asked, services))
    return await reply(job, headers, services, response)


async def _order(begun: Job, changes: ContinueIn, asked: Asked, services: Services) -> Order:
    if begun.expired:
        raise ResultExpiredError("the painting has been removed; paint it again")
    if begun.kind is not JobKind.STYLIZE or begun.painting is None:
        raise JobStateError(
            f"only a finished painting can be gone on with; this {begun.kind} job is {begun.status}"
        )
    options = _changed(StyleOptions.from_json(begun.options), changes)
    photo = (begun.options["photo_width"], begun.options["photo_height"])
    resume_px = begun.progress.size if begun.progress else None
    cost = foresee(
        options,
        photo,
        await in_store(services.roster.workers),
        style_count=sum(name.startswith("style-") for name in begun.inputs),
        max_size=services.limits.max_size,
        resume_px=resume_px,
    )
    last = plan(options, *photo)[-1]
    if resume_px and resume_px > max(last.width, last.height):
        raise InvalidRequestError(
            f"quality {options.quality} would paint this at {max(last.width, last.height)} px, and "
            f"the painting has {resume_px} already; take another quality or a larger size"
        )
    width, height = fit(*photo, options.size)
    return Order(
        asked=asked,
        options={**begun.options, **asdict(options), "width": width, "height": height},
        files={**begun.inputs, BEGUN: begun.painting},
        estimate_s=cost.seconds if cost else None,
    )


def _changed(before: StyleOptions, changes: ContinueIn) -> StyleOptions:
    given = changes.model_dump(exclude_none=True)
    if changes.strength is not None:
        given |= {"content_weight": None, "style_weight": None}
    try:
        options = replace(before, **given)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    if options.size < before.size:
        raise InvalidRequestError(f"size must be at least the painting's, {before.size}")
    return options
