"""Jobs that have ended, so that a service has something to show and to remove."""

from dataclasses import dataclass

import httpx

from tests import http_client
from tests.evaluation.archives import zipped
from tests.pictures import encode, photograph
from tests.service import Service, wait_until

_PICTURE = encode(photograph())
_DOOMED = 10


@dataclass(frozen=True)
class EndedJobs:
    """Ids of jobs."""

    painting: str
    report: str
    doomed: list[str]


def end_jobs(service: Service) -> EndedJobs:
    """Paint and evaluate with the service's worker, and cancel some more."""
    wait_until(service.is_measured, timeout_s=120)
    archive = zipped({f"{name}/1.png": _PICTURE for name in ("cat", "dog", "ship")})
    waiting = {"Prefer": "wait=60"}
    with http_client.connect(base_url=service.url) as client:

        def paint(**headers: str) -> httpx.Response:
            form = {"style_name": "mosaic", "size": "64", "quality": "preview"}
            files = {"content": _PICTURE}
            return client.post("/stylize", data=form, files=files, headers=headers)

        painting = _succeeded(paint(**waiting))
        answer = client.post("/evaluate?model=cifar10", files={"file": archive}, headers=waiting)
        report = _succeeded(answer)
        return EndedJobs(painting, report, [_cancelled(client, paint()) for _ in range(_DOOMED)])


def _cancelled(client: httpx.Client, made: httpx.Response) -> str:
    job = made.json()["links"]["self"]
    client.post(f"{job}/cancel")
    wait_until(lambda: client.get(job).json()["finished_at"])
    return str(made.json()["id"])


def _succeeded(answer: httpx.Response) -> str:
    job = answer.json()
    assert job["status"] == "succeeded", job
    return str(job["id"])
