"""The handler of evaluate jobs: labeled images in, a report out."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog
import torch

from app.engines.options import EngineOptions
from app.engines.selection import select_engine
from app.evaluation.datasets import find_dataset
from app.evaluation.errors import (
    ArchiveError,
    ArchiveTooLargeError,
    NoLabeledFilesError,
    UnknownDatasetError,
)
from app.evaluation.evaluator import Evaluator
from app.evaluation.labeled_images import LabeledSet, label_files, open_source
from app.evaluation.predictions import Predictions, PredictionsError
from app.evaluation.sources import ImageSource
from app.evaluation.worst_mistakes import with_thumbnails
from app.jobs.errors import BadJobError
from app.jobs.execution.checkpoints import newest_readable
from app.jobs.execution.work import JobOutput, JobUpdate, OutputFile
from app.jobs.model import ARCHIVE, Job, Progress
from app.jobs.storage.base import FileStorage
from app.limits import ArchiveLimits, ImageLimits
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError
from app.vision.images import PixelBudget

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class EvaluateHandler:
    """A handler that evaluates the models of a folder on archives or on the host's data sets.

    After `max_s` seconds the report covers only the images evaluated so far, as after `finish`.
    `came` is called regularly while an archive is downloaded from the object store.
    """

    models: Path
    datasets: Path
    device: torch.device
    engines: EngineOptions
    storage: FileStorage
    limits: ImageLimits
    archive_limits: ArchiveLimits
    budget: PixelBudget
    threads: int
    max_s: float
    came: Callable[[], None]

    def __call__(self, job: Job) -> Generator[JobUpdate]:
        """Evaluate, from the newest readable checkpoint.

        Raises:
            BadJobError: the model or the images cannot be used.
        """
        try:
            classifier = Classifier.load(job.options["model"], self.models, self.device)
        except CheckpointError as error:
            raise BadJobError("model_unavailable", str(error)) from error
        if classifier.card.version != job.options["version"]:
            raise BadJobError(
                "model_replaced",
                "The model's checkpoint has been replaced. Send the request again when the "
                "service has reloaded it.",
            )
        with self._source(job) as source:
            yield from self._evaluate(job, classifier, source)

    def _evaluate(
        self, job: Job, classifier: Classifier, source: ImageSource
    ) -> Iterator[JobUpdate]:
        try:
            labels = label_files(source.names, classifier.card.spec.class_of)
        except NoLabeledFilesError as error:
            raise BadJobError("invalid_set", str(error)) from error
        choice = select_engine(classifier, self._options(job.options["engine"]))
        evaluator = Evaluator(classifier, choice, self.limits, self.budget, self.threads)
        of = f"{classifier.card.version} {choice.engine.kind} {choice.min_side_px} {labels.digest}"
        for predictions in evaluator.run(source, labels, self._resume(job, of)):
            progress = Progress(step=predictions.seen, steps=len(labels.files))
            left = progress.steps - progress.step
            yield JobUpdate(
                progress=progress,
                eta_s=left * predictions.seconds / predictions.seen,
                preview=None,
                checkpoint=predictions.to_bytes,
                product=partial(self._product, evaluator, source, labels, predictions),
                can_finish=bool(predictions.positions),
            )
            if predictions.seconds > self.max_s:
                return

    def _options(self, asked: str) -> EngineOptions:
        return replace(self.engines, preference="exact") if asked == "exact" else self.engines

    def _product(
        self,
        evaluator: Evaluator,
        source: ImageSource,
        labels: LabeledSet,
        predictions: Predictions,
    ) -> JobOutput:
        if not predictions.positions:
            reason = predictions.skipped[0].reason
            raise BadJobError("invalid_set", f"No image can be used. The first error: {reason}")
        report = evaluator.report(labels, predictions)
        shown = list(with_thumbnails(report.worst_mistakes, source, self.limits))
        report = replace(report, worst_mistakes=[mistake for mistake, _ in shown])
        document = json.dumps(report.to_json()).encode()
        pictures = [OutputFile(str(mistake.thumbnail), picture) for mistake, picture in shown]
        return JobOutput(OutputFile("report.json", document), extras=pictures)

    @contextmanager
    def _source(self, job: Job) -> Iterator[ImageSource]:
        with ExitStack() as stack:
            try:
                path = self._path(job, stack)
                source = stack.enter_context(open_source(path, self.archive_limits))
            except (ArchiveError, ArchiveTooLargeError, UnknownDatasetError) as error:
                raise BadJobError("invalid_set", str(error)) from error
            except FileNotFoundError as error:
                raise BadJobError(
                    "files_missing", "Files of this job are missing. Submit it again."
                ) from error
            yield source

    def _path(self, job: Job, stack: ExitStack) -> Path:
        if ARCHIVE in job.inputs:
            return stack.enter_context(self.storage.at_hand(job.inputs[ARCHIVE], self.came))
        return find_dataset(self.datasets, job.options["dataset"])

    def _resume(self, job: Job, key: str) -> Predictions:
        def read(data: bytes) -> Predictions:
            predictions = Predictions.from_bytes(data)
            if predictions.key != key:
                raise PredictionsError("they belong to another set")
            return predictions

        return newest_readable(job, self.storage, read) or Predictions(key)
