"""Mixed load on the whole service for half an hour, and whether anything grows or fails.

    python -m benchmarks.soak [--minutes 30] [--output docs] [--clients 6]

Starts the service with a worker; clients classify good, bad and hostile pictures with all models,
leave early, evaluate, paint with event streams, cancel, continue, load the page, and send wrong
requests. Writes `soak.md` and `images/soak.svg`; exit status 1 if there were 5xx answers (but for
503, which is a refusal) or something grew. With `ATELIER_SOAK_KEY` every request carries
`Authorization: Bearer` with it. Needs `pip install -e '.[train]'` for the picture.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.soak.clients import Visitor
from benchmarks.soak.deeds import PAINTER, VISITOR
from benchmarks.soak.report import write_report
from benchmarks.soak.samples import Probe, sample_until
from tests.service import MODELS, Service, running_service, wait_until

_SHORT_LIVED = {"result_ttl_s": 60, "job_ttl_s": 120, "orphan_ttl_s": 120}
"""So that the disk shows what is forgotten, and not what is kept on purpose."""


def main() -> int:
    """Run and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=6, help="clients that classify and look")
    parser.add_argument("--engine", default="auto", help="as ATELIER_ENGINE (default: auto)")
    parser.add_argument("--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(
            Path(folder),
            threads=None,
            workers=1,
            models_dir=MODELS,
            engine=args.engine,
            log_format="json",
            **_SHORT_LIVED,
        ) as service,
    ):
        wait_until(service.is_measured, 120)
        probe = Probe(service, Path(folder) / "var")
        visitors = asyncio.run(soak(service, probe, args.minutes * 60, args.clients))
        tracebacks = sum('"exception"' in line for line in service.log.read_text().splitlines())
    answers = sorted(
        (answer for visitor in visitors for answer in visitor.answers), key=lambda each: each.at_s
    )
    complaints = write_report(args.output, probe.samples, answers, tracebacks)
    sys.stdout.write("".join(f"PROBLEM {each}\n" for each in complaints) or "nothing grew\n")
    return int(bool(complaints))


async def soak(service: Service, probe: Probe, seconds: float, clients: int) -> list[Visitor]:
    """Let the clients loose until the time is over."""
    key = os.environ.get("ATELIER_SOAK_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        base_url=service.url, headers=headers, timeout=120, limits=limits
    ) as client:
        kinds = [VISITOR] * clients + [PAINTER] * 2
        visitors = [
            Visitor(client, deeds, seed, probe.now) for seed, deeds in enumerate(kinds, start=1)
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(sample_until(probe, seconds))
            for visitor in visitors:
                group.create_task(visitor.visit_until(seconds))
    return visitors


if __name__ == "__main__":
    sys.exit(main())
