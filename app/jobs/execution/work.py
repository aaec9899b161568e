"""The interface between the runner and a job handler: a generator of updates."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.jobs.model import Job, Progress


@dataclass(frozen=True)
class OutputFile:
    """Bytes for a blob, with the name that it has in the job's folder."""

    name: str
    data: bytes


@dataclass(frozen=True)
class JobOutput:
    """The files of a finished job: its result, the state to continue from, and extras."""

    result: OutputFile
    painting: OutputFile | None = None
    extras: Sequence[OutputFile] = ()


@dataclass(frozen=True)
class JobUpdate:
    """A report of progress; its files are made only when they are needed.

    After the update whose progress is complete no other follows. `can_finish` says whether there is
    enough to finish early with.
    """

    progress: Progress
    eta_s: float | None
    preview: Callable[[], OutputFile] | None
    checkpoint: Callable[[], bytes] | None
    product: Callable[[], JobOutput]
    can_finish: bool = True


class JobHandler(Protocol):
    """One kind of job."""

    def __call__(self, job: Job) -> Generator[JobUpdate]:
        """Do a job from its newest checkpoint on; closed when it is no longer needed.

        Raises:
            BadJobError: it can never succeed.
        """
        ...
