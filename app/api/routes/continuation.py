"""`POST /jobs/{id}/continue`: continuation of a finished painting, larger or longer."""

from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status

from app.api.admission import check_admission
from app.api.deps import JobId, Services, ServicesDep
from app.api.errors import problem_responses
from app.api.job_replies import JOB_MADE, JobHeadersDep, SenderDep, job_reply
from app.api.problems import InvalidRequestError
from app.api.routes.stylize import SUBMITTING
from app.api.schemas.jobs import JobOut
from app.api.schemas.stylize import ContinueIn
from app.api.submissions import JobDraft, JobRequest
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
    sender: SenderDep,
    services: ServicesDep,
) -> JobOut:
    """Continue a finished painting, larger or longer: makes a new job."""
    request = {"continue": job_id, **changes.model_dump(mode="json", exclude_unset=True)}
    job_request = JobRequest(JobKind.STYLIZE, request)
    submissions = services.submissions
    with submissions.holding_key(sender):
        await submissions.check_room(sender)
        job = await submissions.made_before(sender, job_request)
        if job is None:
            before = await in_store(services.jobs.find, job_id, sender.caller)
            draft = await _draft(before, changes, job_request, services)
            job = await submissions.create(sender, draft)
    return await job_reply(job, headers, services, response)


async def _draft(
    before: Job, changes: ContinueIn, job_request: JobRequest, services: Services
) -> JobDraft:
    if before.expired:
        raise ResultExpiredError("The files of the painting have been removed. Paint it again.")
    if before.kind is not JobKind.STYLIZE or before.painting is None:
        raise JobStateError(
            "Only a finished painting can be continued. "
            f"This is a job of kind {before.kind}, which is {before.status}."
        )
    options = _changed(StyleOptions.from_json(before.options), changes)
    photo = (before.options["photo_width"], before.options["photo_height"])
    resume_px = before.progress.size if before.progress else None
    cost = check_admission(
        options,
        photo,
        await in_store(services.worker_registry.workers),
        style_count=sum(name.startswith("style-") for name in before.inputs),
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
    return JobDraft(
        job_request=job_request,
        options={**before.options, **asdict(options), "width": width, "height": height},
        files={**before.inputs, BEGUN: before.painting},
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
        raise InvalidRequestError(f"size must be at least {before.size}, the painting's own.")
    return options
