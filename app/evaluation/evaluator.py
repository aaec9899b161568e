"""Runs a model over labelled images.

Files are read and decoded in threads, a little ahead of the model, which answers them in batches of
the size at which an image costs it least.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter

from torch import Tensor

from app.engines.selection import Choice
from app.evaluation.errors import UnreadableError
from app.evaluation.labeled_images import LabelledFile, Labels, Skipped
from app.evaluation.predictions import Answers
from app.evaluation.report import Report
from app.evaluation.sources import Source
from app.evaluation.worst_mistakes import worst
from app.vision.classifier import Classifier
from app.vision.errors import ImageError
from app.vision.images import ImageLimits, PixelBudget, read_header

_CHUNK = 8  # files that a thread takes at a time
_AHEAD_CHUNKS = 24
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 128
_WORTHWHILE = 0.95  # of the cost before: a larger batch also takes more memory
_SKIPPED_SHOWN = 1000
_FOLDERS_SHOWN = 100
_YIELD_S = 1.0


@dataclass(frozen=True)
class Evaluator:
    """Evaluates one model, by any engine."""

    classifier: Classifier
    choice: Choice
    limits: ImageLimits
    budget: PixelBudget
    threads: int

    def run(self, source: Source, labels: Labels, answers: Answers) -> Iterator[Answers]:
        """Answer the files that `answers` has not seen; yields it, grown, at least once a second.

        That holds as long as the few files that a thread takes at a time need less.
        """
        started = perf_counter() - answers.seconds
        due_s = answers.seconds + _YIELD_S
        batch = _BatchSize()
        pictures: list[Tensor] = []
        for prepared in self.prepared(source, labels.files[answers.seen :]):
            if isinstance(prepared, Skipped):
                answers.skipped.append(prepared)
            else:
                answers.positions.append(answers.seen)
                pictures.append(prepared)
            answers.seen += 1
            is_last = answers.seen == len(labels.files)
            is_due = perf_counter() - started >= due_s  # also where file after file is skipped
            if len(pictures) == batch.size or is_last or is_due:
                self._answer(pictures, answers, batch)
                pictures.clear()
                answers.seconds = perf_counter() - started
                due_s = answers.seconds + _YIELD_S
                yield answers

    def report(self, labels: Labels, answers: Answers) -> Report:
        """Report on what has been answered; there must be something."""
        from app.evaluation.metrics import measure  # noqa: PLC0415 - SciPy takes long to import

        card = self.classifier.card
        spec = card.spec
        files = [labels.files[position] for position in answers.positions]
        probabilities = answers.probabilities()
        truth = answers.labels([file.label for file in labels.files])
        skipped = [*labels.skipped, *answers.skipped]
        return Report(
            **vars(measure(probabilities, truth, spec.classes)),
            model={"name": spec.name, "version": card.version},
            engine={"device": str(self.classifier.device), **asdict(self.choice.engine.kind)},
            worst_mistakes=worst(probabilities, files, spec.classes),
            skipped=skipped[:_SKIPPED_SHOWN],
            skipped_count=len(skipped),
            labelled=len(labels.files),
            unknown_folders=dict(labels.unknown_folders.most_common(_FOLDERS_SHOWN)),
            unknown_folder_count=len(labels.unknown_folders),
            seconds=answers.seconds,
            images_per_s=len(files) / answers.seconds,
        )

    def _answer(self, pictures: list[Tensor], answers: Answers, batch: "_BatchSize") -> None:
        if not pictures:
            return
        began = perf_counter()
        answers.rows.extend(self.choice.engine.probabilities(pictures).numpy())
        batch.note(len(pictures), perf_counter() - began)

    def prepared(
        self, source: Source, files: Sequence[LabelledFile]
    ) -> Generator[Tensor | Skipped]:
        """Prepare files in threads; yields uint8 (C, H, W), or why there is none, in order."""
        is_left = threading.Event()

        def prepare(chunk: Sequence[LabelledFile]) -> list[Tensor | Skipped]:
            return [self._prepare(source, file) for file in chunk if not is_left.is_set()]

        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decode")
        begun: deque[Future[list[Tensor | Skipped]]] = deque()
        try:
            for start in range(0, len(files), _CHUNK):
                begun.append(pool.submit(prepare, files[start : start + _CHUNK]))
                if len(begun) > _AHEAD_CHUNKS:
                    yield from begun.popleft().result()
            while begun:
                yield from begun.popleft().result()
        finally:
            is_left.set()
            pool.shutdown(cancel_futures=True)

    def _prepare(self, source: Source, file: LabelledFile) -> Tensor | Skipped:
        try:
            header = read_header(source.read(file.name, self.limits.max_bytes), self.limits)
            with self.budget.reserve(header.pixels):
                return self.classifier.prepare(header.decode(enough_px=self.choice.enough_px))
        except (UnreadableError, ImageError) as error:
            return Skipped(file.name, str(error))


class _BatchSize:
    """Doubles the batch as long as that makes an image cheaper."""

    def __init__(self) -> None:
        self.size = _SMALLEST_BATCH
        self._best_s = float("inf")  # for one image
        self._is_warm = False  # the first batch of a size pays for its set-up
        self._is_found = False

    def note(self, count: int, seconds: float) -> None:
        """Learn from a batch of so many images."""
        if self._is_found or count != self.size:
            return
        if not self._is_warm:
            self._is_warm = True
            return
        cost_s = seconds / count
        if cost_s > _WORTHWHILE * self._best_s:
            self.size //= 2
            self._is_found = True
            return
        self._best_s, self._is_warm = cost_s, False
        self.size = min(2 * self.size, _LARGEST_BATCH)
        self._is_found = count == _LARGEST_BATCH
