"""`python -m app jobs list|show|cancel`: administration of jobs on this host."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table

from app.commands.common import read_settings
from app.jobs.cleanup import remove_attempts
from app.jobs.db.database import Database
from app.jobs.model import Job, JobKind, JobStatus
from app.jobs.storage.factory import open_storage
from app.jobs.store import JobStore

_LONGEST_LIST = 100_000
_TABLE_WIDTH = 120  # in a narrower table, states and times would be truncated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="the newest jobs")
    listing.add_argument("--status", type=JobStatus, choices=list(JobStatus))
    listing.add_argument("--kind", type=JobKind, choices=list(JobKind))
    listing.add_argument("--limit", type=_count, default=50)
    for name, summary in (("show", "show all details of one job"), ("cancel", "end one job")):
        commands.add_parser(name, help=summary).add_argument("id")


def run(args: argparse.Namespace) -> int:
    """List, show or cancel jobs."""
    settings = read_settings()
    database = Database(settings.database, settings.store_timeout_s)
    database.check_revision()
    store = JobStore(database, settings.queue_limits)
    console = Console(soft_wrap=True)
    console.width = max(console.width, _TABLE_WIDTH)
    if args.action == "list":
        jobs = store.page(status=args.status, kind=args.kind, limit=args.limit)
        console.print(_table(jobs))
        return 0
    if args.action == "show":
        job = store.find(args.id)
    else:
        job = store.cancel(args.id)
        if job.status.is_terminal:
            remove_attempts(job, open_storage(settings.storage))
    console.print_json(json.dumps(asdict(job)))
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _LONGEST_LIST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_LONGEST_LIST:,}")
    return int(text)


def _table(jobs: list[Job]) -> Table:
    whole = Column("id", no_wrap=True, min_width=len(jobs[0].id) if jobs else 0)
    table = Table(whole, "kind", "status", "owner", "created", "step", "attempt")
    for job in jobs:
        created = datetime.fromtimestamp(job.created_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        step = f"{job.progress.step}/{job.progress.steps}" if job.progress else ""
        table.add_row(job.id, job.kind, job.status, job.owner, created, step, str(job.attempt))
    return table
