"""The work of an evaluate job: reads its labelled images, asks the model, and reports."""

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
from app.evaluation.sources import ArchiveLimits, ImageSource
from app.evaluation.worst_mistakes import with_thumbnails
from app.jobs.errors import BadJobError
from app.jobs.execution.checkpoints import newest_readable
from app.jobs.execution.work import File, Product, Update
from app.jobs.model import ARCHIVE, Job, Progress
from app.jobs.storage.base import Blobs
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError
from app.vision.images import ImageLimits, PixelBudget

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Evaluating:
    """Evaluates any of the models in a folder, on an archive or on one of the host's data sets.

    What is not answered after `max_s` seconds is left out of the report, as if it had been asked
    to finish then. `came` is called now and then while an archive comes from afar.
    """

    models: Path
    datasets: Path
    device: torch.device
    engines: EngineOptions
    blobs: Blobs
    limits: ImageLimits
    archive_limits: ArchiveLimits
    budget: PixelBudget
    threads: int
    max_s: float
    came: Callable[[], None]

    def __call__(self, job: Job) -> Generator[Update]:
        """Evaluate from the newest checkpoint that can be read.

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
                "the model's checkpoint has been replaced; send it again once the service has "
                "reloaded it",
            )
        with self._source(job) as source:
            yield from self._evaluate(job, classifier, source)

    def _evaluate(self, job: Job, classifier: Classifier, source: ImageSource) -> Iterator[Update]:
        try:
            labels = label_files(source.names, classifier.card.spec.class_of)
        except NoLabeledFilesError as error:
            raise BadJobError("invalid_set", str(error)) from error
        choice = select_engine(classifier, self._options(job.options["engine"]))
        evaluator = Evaluator(classifier, choice, self.limits, self.budget, self.threads)
        of = f"{classifier.card.version} {choice.engine.kind} {choice.min_side_px} {labels.digest}"
        for answers in evaluator.run(source, labels, self._resume(job, of)):
            progress = Progress(step=answers.seen, steps=len(labels.files))
            left = progress.steps - progress.step
            yield Update(
                progress=progress,
                eta_s=left * answers.seconds / answers.seen,
                preview=None,
                checkpoint=answers.to_bytes,
                product=partial(self._product, evaluator, source, labels, answers),
                can_finish=bool(answers.positions),
            )
            if answers.seconds > self.max_s:
                return

    def _options(self, asked: str) -> EngineOptions:
        return replace(self.engines, preference="exact") if asked == "exact" else self.engines

    def _product(
        self, evaluator: Evaluator, source: ImageSource, labels: LabeledSet, answers: Predictions
    ) -> Product:
        if not answers.positions:
            reason = answers.skipped[0].reason
            raise BadJobError("invalid_set", f"no image can be used; the first: {reason}")
        report = evaluator.report(labels, answers)
        shown = list(with_thumbnails(report.worst_mistakes, source, self.limits))
        report = replace(report, worst_mistakes=[mistake for mistake, _ in shown])
        document = json.dumps(report.to_json()).encode()
        pictures = [File(str(mistake.thumbnail), picture) for mistake, picture in shown]
        return Product(File("report.json", document), extras=pictures)

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
                    "files_missing", "files of this job have gone; send it again"
                ) from error
            yield source

    def _path(self, job: Job, stack: ExitStack) -> Path:
        if ARCHIVE in job.inputs:
            return stack.enter_context(self.blobs.at_hand(job.inputs[ARCHIVE], self.came))
        return find_dataset(self.datasets, job.options["dataset"])

    def _resume(self, job: Job, of: str) -> Predictions:
        def read(data: bytes) -> Predictions:
            answers = Predictions.from_bytes(data)
            if answers.key != of:
                raise PredictionsError("they are of another set")
            return answers

        return newest_readable(job, self.blobs, read) or Predictions(of)
