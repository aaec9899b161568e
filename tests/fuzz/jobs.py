"""Jobs that have ended, so that a service has something to show and to remove."""

from dataclasses import dataclass

from tests.evaluation.archives import zipped
from tests.jobs.studio import LONG, studio
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
    with studio(service) as jobs:
        painting = jobs.paint()["id"]
        answer = jobs.client.post("/evaluate?model=cifar10", files={"file": archive})
        report = jobs.wait(answer.json()["id"])
        assert report["status"] == "succeeded", report
        doomed = [jobs.cancel(jobs.start(**LONG))["id"] for _ in range(_DOOMED)]
        return EndedJobs(painting, report["id"], doomed)
