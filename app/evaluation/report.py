"""The report on a model: its metrics on labeled images and its worst mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.evaluation.labeled_images import SkippedFile


@dataclass(frozen=True)
class ClassReport:
    """Metrics of one class; None if it was never predicted or has no images."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of images; rows are true classes, columns predicted classes."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions with a confidence above `low` and up to `high`.

    `confidence` is their mean confidence, `accuracy` the fraction that is correct; None if the bin
    is empty.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ConfidenceCalibration:
    """Calibration of the confidence.

    `ece` is the expected calibration error (Guo et al. 2017), 0..1: the mean distance between
    confidence and accuracy over the bins, weighted by their counts.
    """

    ece: float
    bins: Sequence[CalibrationBin]


@dataclass(frozen=True)
class ClassificationMetrics:
    """Metrics that follow from probabilities and labels alone.

    `loss` is the mean negative log-likelihood in nats, of probabilities of at least 2e-16;
    `accuracy_interval` is the 95 % confidence interval (Wilson 1927); `top_k_accuracy` is keyed by
    k, as a string.
    """

    n: int
    loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    top_k_accuracy: Mapping[str, float]
    classes: Sequence[ClassReport]
    confusion_matrix: ConfusionMatrix
    calibration: ConfidenceCalibration


@dataclass(frozen=True)
class Mistake:
    """A misclassified image, with the probabilities of the true and the predicted class."""

    filename: str
    label: str
    label_probability: float
    predicted: str
    predicted_probability: float
    thumbnail: str | None = None


@dataclass(frozen=True)
class EvaluationReport(ClassificationMetrics):
    """The whole report.

    `labeled` is the number of labeled images in the data set, of which some remain if the
    evaluation was ended early. `skipped` are the first of `skipped_count` skipped files.
    `unknown_folders` counts the files in the largest of `unknown_folder_count` folders that are not
    named after a class. `images_per_s` covers everything from reading to probabilities.
    """

    model: Mapping[str, str]
    engine: Mapping[str, str]
    worst_mistakes: Sequence[Mistake]
    skipped: Sequence[SkippedFile]
    skipped_count: int
    labeled: int
    unknown_folders: Mapping[str, int]
    unknown_folder_count: int
    seconds: float
    images_per_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self)
