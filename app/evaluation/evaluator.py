"""Evaluation of a model on labeled images.

Files are read and decoded in threads, a little ahead of the model, which runs with the batch size
of the lowest time per image.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter

from torch import Tensor

from app.engines.selection import EngineSelection
from app.evaluation.errors import UnreadableFileError
from app.evaluation.labeled_images import LabeledFile, LabeledSet, SkippedFile
from app.evaluation.predictions import Predictions
from app.evaluation.report import EvaluationReport
from app.evaluation.sources import ImageSource
from app.evaluation.worst_mistakes import worst_mistakes
from app.limits import ImageLimits
from app.vision.classifier import Classifier
from app.vision.errors import ImageError
from app.vision.images import PixelBudget, read_header

_CHUNK = 8  # files that a thread processes at a time
_AHEAD_CHUNKS = 24
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 128
_MAX_RELATIVE_TIME = 0.95  # per image, for a larger batch, which takes more memory, to be used
_SKIPPED_SHOWN = 1000
_FOLDERS_SHOWN = 100
_YIELD_S = 1.0


@dataclass(frozen=True)
class Evaluator:
    """Evaluates one model with any engine."""

    classifier: Classifier
    selection: EngineSelection
    limits: ImageLimits
    budget: PixelBudget
    threads: int

    def run(
        self, source: ImageSource, labels: LabeledSet, predictions: Predictions
    ) -> Iterator[Predictions]:
        """Predict the files that `predictions` has not seen; yield it about once a second.

        It is updated in place. A chunk of files that takes longer delays it.
        """
        started = perf_counter() - predictions.seconds
        due_s = predictions.seconds + _YIELD_S
        batch = _BatchSize()
        images: list[Tensor] = []
        for image in self.preprocess(source, labels.files[predictions.seen :]):
            if isinstance(image, SkippedFile):
                predictions.skipped.append(image)
            else:
                predictions.positions.append(predictions.seen)
                images.append(image)
            predictions.seen += 1
            is_last = predictions.seen == len(labels.files)
            is_due = perf_counter() - started >= due_s  # even if file after file is skipped
            if len(images) == batch.size or is_last or is_due:
                self._predict(images, predictions, batch)
                images.clear()
                predictions.seconds = perf_counter() - started
                due_s = predictions.seconds + _YIELD_S
                yield predictions

    def report(self, labels: LabeledSet, predictions: Predictions) -> EvaluationReport:
        """Return the report on the predictions; there must be at least one."""
        from app.evaluation.metrics import compute_metrics  # noqa: PLC0415 - imports scikit-learn

        card = self.classifier.card
        spec = card.spec
        files = [labels.files[position] for position in predictions.positions]
        probabilities = predictions.probabilities()
        truth = predictions.labels([file.label for file in labels.files])
        skipped = [*labels.skipped, *predictions.skipped]
        return EvaluationReport(
            **vars(compute_metrics(probabilities, truth, spec.classes)),
            model={"name": spec.name, "version": card.version},
            engine={"device": str(self.classifier.device), **asdict(self.selection.engine.kind)},
            worst_mistakes=worst_mistakes(probabilities, files, spec.classes),
            skipped=skipped[:_SKIPPED_SHOWN],
            skipped_count=len(skipped),
            labeled=len(labels.files),
            unknown_folders=dict(labels.unknown_folders.most_common(_FOLDERS_SHOWN)),
            unknown_folder_count=len(labels.unknown_folders),
            seconds=predictions.seconds,
            images_per_s=len(files) / predictions.seconds,
        )

    def _predict(self, images: list[Tensor], predictions: Predictions, batch: "_BatchSize") -> None:
        if not images:
            return
        began = perf_counter()
        predictions.rows.extend(self.selection.engine.probabilities(images).numpy())
        batch.note(len(images), perf_counter() - began)

    def preprocess(
        self, source: ImageSource, files: Sequence[LabeledFile]
    ) -> Generator[Tensor | SkippedFile]:
        """Preprocess files in threads; yield uint8 (C, H, W) or the skipped file, in order."""
        is_closed = threading.Event()

        def preprocess(chunk: Sequence[LabeledFile]) -> list[Tensor | SkippedFile]:
            return [self._preprocess(source, file) for file in chunk if not is_closed.is_set()]

        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decode")
        pending: deque[Future[list[Tensor | SkippedFile]]] = deque()
        try:
            for start in range(0, len(files), _CHUNK):
                pending.append(pool.submit(preprocess, files[start : start + _CHUNK]))
                if len(pending) > _AHEAD_CHUNKS:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            is_closed.set()
            pool.shutdown(cancel_futures=True)

    def _preprocess(self, source: ImageSource, file: LabeledFile) -> Tensor | SkippedFile:
        try:
            header = read_header(source.read(file.name, self.limits.max_bytes), self.limits)
            with self.budget.reserve(header.pixels):
                return self.classifier.preprocess(
                    header.decode(min_side_px=self.selection.min_side_px)
                )
        except (UnreadableFileError, ImageError) as error:
            return SkippedFile(file.name, str(error))


class _BatchSize:
    """Doubles the batch size as long as that reduces the time per image."""

    def __init__(self) -> None:
        self.size = _SMALLEST_BATCH
        self._best_s = float("inf")  # per image
        self._is_warm = False  # the first batch of a size includes one-time costs
        self._is_found = False

    def note(self, count: int, seconds: float) -> None:
        """Record the time of a batch of `count` images."""
        if self._is_found or count != self.size:
            return
        if not self._is_warm:
            self._is_warm = True
            return
        image_s = seconds / count
        if image_s > _MAX_RELATIVE_TIME * self._best_s:
            self.size //= 2
            self._is_found = True
            return
        self._best_s, self._is_warm = image_s, False
        self.size = min(2 * self.size, _LARGEST_BATCH)
        self._is_found = count == _LARGEST_BATCH
