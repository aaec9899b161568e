"""The handler of stylize jobs: it reads the files, paints, and yields the progress."""

import io
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace

import structlog
import torch
from PIL import Image

from app.jobs.errors import BadJobError
from app.jobs.execution.checkpoints import newest_readable
from app.jobs.execution.work import JobOutput, JobUpdate, OutputFile
from app.jobs.model import BEGUN, Job, Progress
from app.jobs.storage.base import FileStorage
from app.limits import ImageLimits
from app.style.checkpoint import PaintingCheckpoint, ResumeError
from app.style.estimate import Calibration, largest_size, remaining_s
from app.style.images import encode
from app.style.options import StyleOptions
from app.style.schedule import Stage, first_stage, plan
from app.style.targets import StyleTargets
from app.style.transfer import StyleStep, stylize
from app.vision.errors import ImageError
from app.vision.images import read_header

log = structlog.stdlib.get_logger(__name__)

_PREVIEW_PX = 512
_PREVIEW_QUALITY = 80


class StylizeHandler:
    """A handler that keeps one network and its style targets from job to job."""

    def __init__(
        self, targets: StyleTargets, storage: FileStorage, limits: ImageLimits, memory_bytes: int
    ) -> None:
        self._targets = targets
        self._storage = storage
        self._limits = limits
        self._memory_bytes = memory_bytes
        self.calibration: Calibration | None = None

    def __call__(self, job: Job) -> Generator[JobUpdate]:
        """Paint, from the newest readable checkpoint.

        Raises:
            BadJobError: the pictures cannot be painted, or the device has too little memory.
        """
        try:
            options = StyleOptions.from_json(job.options)
            photo = self._picture(job, "content")
            longest = round(options.size * options.style_scale)
            styles = [self._picture(job, name, longest) for name in _style_names(job.inputs)]
            stages = plan(options, *photo.size)
            resume = self._resume(job, options, stages)
        except (ImageError, ResumeError, ValueError) as error:
            raise BadJobError("invalid_job", str(error)) from error
        except FileNotFoundError as error:
            raise BadJobError(
                "files_missing", "Files of this job are missing. Submit it again."
            ) from error
        intervals = _Pace(stages, self.calibration)
        for step in self._paint(photo, styles, options, resume):
            yield _update(job, step, intervals.eta_s(step.step))

    def _paint(
        self,
        photo: Image.Image,
        styles: Sequence[Image.Image],
        options: StyleOptions,
        resume: PaintingCheckpoint | None,
    ) -> Iterator[StyleStep]:
        """Paint.

        If the memory is not sufficient, retry from there in the mode that saves memory.
        """
        try:
            for step in stylize(photo, styles, options, targets=self._targets, resume=resume):
                resume = step.checkpoint()
                yield step
        except torch.OutOfMemoryError:
            log.warning("out of memory; retrying with less memory")
        else:
            return
        try:
            yield from stylize(
                photo,
                styles,
                options,
                targets=self._targets,
                resume=resume,
                save_memory=True,
            )
        except torch.OutOfMemoryError as error:
            fits = self._what_fits(photo, options, len(styles))
            raise BadJobError("out_of_memory", fits) from error

    def _what_fits(self, photo: Image.Image, options: StyleOptions, style_count: int) -> str:
        message = "The device has too little memory for this size"
        if self.calibration is None:
            return f"{message}; choose a smaller one"
        spare = self._memory_bytes
        size = largest_size(options, photo.size, spare, self.calibration, style_count)
        return f"{message}; {size} px should fit"

    def _picture(self, job: Job, name: str, longest: int | None = None) -> Image.Image:
        """Decode an input, no larger than needed."""
        data = self._storage.get(job.inputs[name])
        image = read_header(data, self._limits).decode(to_srgb=True)
        if longest is not None:
            image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        return image

    def _resume(
        self, job: Job, options: StyleOptions, stages: Sequence[Stage]
    ) -> PaintingCheckpoint | None:
        def read(data: bytes) -> PaintingCheckpoint:
            checkpoint = PaintingCheckpoint.from_bytes(data)
            if checkpoint.stage >= len(stages) or checkpoint.seed != options.seed:
                raise ResumeError("it belongs to another painting")
            if not 0 <= checkpoint.step <= stages[checkpoint.stage].steps:
                raise ResumeError("its step is not in its stage")
            return checkpoint

        kept = newest_readable(job, self._storage, read)
        if kept is not None:
            return kept
        if BEGUN in job.inputs:
            begun = PaintingCheckpoint.from_bytes(self._storage.get(job.inputs[BEGUN]))
            longest = max(begun.picture.shape[2:])
            return replace(begun, stage=first_stage(stages, longest), step=0)
        return None


def _style_names(inputs: Mapping[str, str]) -> list[str]:
    """Return the names of the style pictures, in the order of their weights."""
    return sorted(
        (name for name in inputs if name.startswith("style-")),
        key=lambda name: int(name.removeprefix("style-")),
    )


def _update(job: Job, step: StyleStep, eta_s: float | None) -> JobUpdate:
    progress = Progress(
        step=step.step,
        steps=step.steps,
        size=max(step.width, step.height),
        content_loss=step.content_loss,
        style_loss=step.style_loss,
    )

    def product() -> JobOutput:
        file_format = job.options["format"]
        parameters = {**job.options, "steps": step.step}
        result = encode(step.result(), file_format, parameters)
        return JobOutput(
            OutputFile(f"result.{file_format}", result),
            OutputFile("painting", step.checkpoint().to_bytes()),
        )

    return JobUpdate(
        progress=progress,
        eta_s=eta_s,
        preview=lambda: OutputFile("preview.jpg", _preview(step.picture())),
        checkpoint=lambda: step.checkpoint().to_bytes(),
        product=product,
    )


def _preview(picture: Image.Image) -> bytes:
    picture.thumbnail((_PREVIEW_PX, _PREVIEW_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_PREVIEW_QUALITY)
    return buffer.getvalue()


class _Pace:
    """The remaining time: the calibrated estimate, corrected by the speed so far."""

    def __init__(self, stages: Sequence[Stage], calibration: Calibration | None) -> None:
        self._stages = tuple(stages)
        self._calibration = calibration
        self._began: tuple[float, float] | None = (
            None  # the time, and the estimated seconds that remained
        )

    def eta_s(self, step: int) -> float | None:
        """Return the remaining seconds after a step."""
        if self._calibration is None:
            return None
        left_s = remaining_s(self._stages, step, self._calibration)
        now = time.monotonic()
        if self._began is None:
            self._began = now, left_s
        foreseen_s = self._began[1] - left_s
        taken_s = now - self._began[0]
        return left_s * (taken_s / foreseen_s if taken_s > 1 and foreseen_s > 0 else 1)
