"""The whole API against its own OpenAPI document, by requests that schemathesis makes up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.archives import PICTURE, put
from tests.fuzz.jobs import end_jobs
from tests.patience import patient
from tests.service import ROOT, running_service

CONFIGURATION = ROOT / "tests" / "fuzz" / "schemathesis.toml"

_ROUND_S = patient(600)  # at most

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(0)]


def test_every_answer_is_as_documented(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The jobs that the requests make wait for ever: what is fuzzed are the answers of HTTP."""
    put(tmp_path / "data", {"digits/3/1.png": PICTURE, "digits/7/1.png": PICTURE})
    with running_service(tmp_path, workers=1) as service:
        jobs = end_jobs(service)
    write(tmp_path / "jobs", jobs.painting, jobs.report)
    write(tmp_path / "reports", jobs.report)
    write(tmp_path / "doomed", *jobs.doomed)
    names = ("max_queued_jobs", "max_queued_jobs_per_caller", "max_submissions_per_minute")
    limits = dict.fromkeys(names, 1_000_000)
    with running_service(tmp_path, datasets=tmp_path / "data", **limits) as service:
        seed, seconds = (pytestconfig.getoption(f"fuzz_{name}") for name in ("seed", "seconds"))
        fuzz(service.url, tmp_path, seconds, "--seed", str(seed))
        assert "request failed" not in service.log.read_text()


def write(path: Path, *words: str) -> None:
    """Write a dictionary as schemathesis reads it."""
    path.write_text("\n".join(f'"{word}"' for word in words))


def fuzz(url: str, folder: Path, seconds: int | None, *options: str) -> None:
    """Fuzz a service with the dictionaries in a folder; options are those of `schemathesis run`.

    `--header "Authorization: ..."`, for one, goes with every request.
    """
    for_so_long = [] if seconds is None else ["--max-time", str(seconds)]
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", shutil.copy(CONFIGURATION, folder)),
            *("run", f"{url}/openapi.json", "--no-color", *for_so_long),
            *("--request-timeout", str(patient(10)), *options),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_ROUND_S + (seconds or 0),
        check=False,
    )
    assert found.returncode == 0, found.stdout
