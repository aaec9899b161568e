"""The interface between the runner and a job handler: a generator of updates."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.jobs.model import Job, Progress


@dataclass(frozen=True)
class OutputFile:
    """A file to be stored, with its name in the job's folder."""

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

    The update with complete progress is the last one. `can_finish` says whether the job can be
    finished early at this point.
    """

    progress: Progress
    eta_s: float | None
    preview: Callable[[], OutputFile] | None
    checkpoint: Callable[[], bytes] | None
    product: Callable[[], JobOutput]
    can_finish: bool = True


class JobHandler(Protocol):
    """A handler of one kind of job."""

    def __call__(self, job: Job) -> Generator[JobUpdate]:
        """Run a job from its newest checkpoint.

        The generator is closed when it is no longer needed.

        Raises:
            BadJobError: the job can never succeed.
        """
        ...
