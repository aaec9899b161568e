"""Admission of paintings: their cost on this host, known before they are queued."""

from collections.abc import Sequence

from app.api.problems import ApiError, ProblemType
from app.jobs.worker_registry import RegisteredWorker
from app.style.estimate import Calibration, Estimate, estimate, memory_shortage
from app.style.options import StyleOptions
from app.style.schedule import plan


class DoesNotFitError(ApiError):
    """The painting is larger than the operator allows, or than the workers' memory."""

    problem_type = ProblemType(422, "size_too_large", "The painting does not fit")


class UnpaintableError(ApiError):
    """A photograph of this shape cannot be painted at this size."""

    problem_type = ProblemType(422, "unpaintable", "The photograph cannot be painted")


def check_admission(
    options: StyleOptions,
    size: tuple[int, int],
    workers: Sequence[RegisteredWorker],
    *,
    style_count: int,
    max_size: int,
    resume_px: int | None = None,
) -> Estimate | None:
    """Estimate the cost of painting a photograph of (width, height) px.

    Return None while no worker is calibrated. `resume_px` is the longest side of the painting that
    is continued.

    Raises:
        DoesNotFitError: the painting is too large; the message says what would fit.
        UnpaintableError: the photograph is too long and thin.
    """
    if options.size > max_size:
        raise DoesNotFitError(f"size may be at most {max_size}")
    try:
        plan(options, *size)
    except ValueError as error:
        raise UnpaintableError(str(error)) from error
    worker = _largest(workers)
    if worker is None or worker.calibration is None:
        return None
    device = Calibration(**worker.calibration)
    problem = memory_shortage(options, size, worker.memory_bytes, device, style_count)
    if problem is not None:
        raise DoesNotFitError(f"too large for the workers: {problem}")
    return estimate(options, size, device, style_count, resume_px)


def _largest(workers: Sequence[RegisteredWorker]) -> RegisteredWorker | None:
    """Return the calibrated worker with the most memory, one that is alive if possible."""
    measured = [worker for worker in workers if worker.calibration]
    return max(measured, key=lambda each: (each.is_alive, each.memory_bytes), default=None)
