"""The job: its states and its record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

BEGUN = "begun"
"""Name of the input with the float picture of the painting to continue."""

ARCHIVE = "archive"
"""Name of the input with the labeled images."""


class JobKind(StrEnum):
    """The kind of a job."""

    STYLIZE = "stylize"  # paint a photograph in the style of other pictures
    EVALUATE = "evaluate"  # evaluate a model on labeled images


class JobStatus(StrEnum):
    """The state of a job. A terminal state never changes."""

    QUEUED = "queued"  # waits for a worker, for the first time or again
    RUNNING = "running"  # a worker holds its lease
    SUCCEEDED = "succeeded"  # it has a result
    FAILED = "failed"  # it has an error
    CANCELLED = "cancelled"  # it was canceled before it succeeded

    @property
    def is_terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """The progress of a job. `step` counts over all stages and never falls.

    `size` is the longest side of the current stage in px; the losses are weighted.
    """

    step: int
    steps: int
    size: int | None = None
    content_loss: float | None = None
    style_loss: float | None = None


@dataclass(frozen=True)
class Fault:
    """The reason for a failure: a stable code for programs, and a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True)
class NewJob:
    """A job to be stored. `inputs` maps names of files to their storage keys.

    `stored_bytes` is their total size.
    """

    id: str
    kind: JobKind
    owner: str
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    stored_bytes: int = 0
    estimate_s: float | None = None
    priority: int = 0
    request_id: str = ""
    idempotency_key: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class Job:
    """A row of the job table. Times are seconds since 1970; files are storage keys.

    `attempt` is a fencing token: it grows with every claim, and only the current attempt may write.
    `crashes` counts the attempts lost since the last checkpoint, `failures` the temporary errors.
    `version` grows with every change that clients can see. `checkpoints` are the newest one and its
    predecessor. `extras` are further files of the result, by name.
    """

    number: int
    id: str
    kind: JobKind
    status: JobStatus
    owner: str
    priority: int
    request_id: str
    idempotency_key: str | None
    fingerprint: str | None
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    estimate_s: float | None
    created_at: float
    run_after: float
    claimed_at: float | None
    started_at: float | None
    finished_at: float | None
    expired: bool
    attempt: int
    crashes: int
    failures: int
    version: int
    lease_owner: str | None
    lease_until: float | None
    cancel_requested: bool
    finish_requested: bool
    eta_s: float | None
    progress: Progress | None
    error: Fault | None
    preview: str | None
    result: str | None
    painting: str | None
    extras: Mapping[str, str]
    checkpoints: tuple[str, ...] = field(default=())

    def files(self) -> set[str]:
        """Return the keys of all files that the job still needs."""
        named = (self.preview, self.result, self.painting)
        several = (*self.inputs.values(), *self.checkpoints, *self.extras.values())
        return {*several, *(key for key in named if key)}

    def folder(self) -> str:
        """Return the folder of the current attempt's files."""
        return f"{folder_of(self.id)}/{self.attempt}"

    def download_name(self, result: str) -> str:
        """Return the file name of a result for clients, given its name or key."""
        return f"atelier-{self.id[:8]}.{result.rpartition('.')[2]}"


def folder_of(job_id: str) -> str:
    """Return the folder of all files of a job."""
    return f"jobs/{job_id}"
