"""What a painting will cost on this host, known before it is accepted."""

from collections.abc import Sequence

from app.errors import AtelierError
from app.jobs.worker_registry import Worker
from app.style.estimate import Calibration, Estimate, estimate, memory_shortage
from app.style.options import StyleOptions
from app.style.schedule import plan


class DoesNotFitError(AtelierError):
    """The painting is larger than the operator allows, or than the workers' memory."""


class UnpaintableError(AtelierError):
    """A photograph of this shape cannot be painted at this size."""


def foresee(
    options: StyleOptions,
    size: tuple[int, int],
    workers: Sequence[Worker],
    *,
    style_count: int,
    max_size: int,
    resume_px: int | None = None,
) -> Estimate | None:
    """Estimate the painting of a photograph of (width, height) px.

    None while no worker has measured what its work costs. `resume_px` is the longest side of a
    painting that is gone on with.

    Raises:
        DoesNotFitError: it is too large; the message says what would fit.
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


def _largest(workers: Sequence[Worker]) -> Worker | None:
    """The worker with most memory, of those alive if any is, that knows what its work costs."""
    measured = [worker for worker in workers if worker.calibration]
    return max(measured, key=lambda each: (each.is_alive, each.memory_bytes), default=None)
