"""The report on a model: how good it is on labelled images, and where it errs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.evaluation.labeled_images import Skipped


@dataclass(frozen=True)
class ClassReport:
    """One class; null where it was never predicted, or there was nothing to find."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Confusion:
    """Counts of images, in a row for each true class and a column for each predicted one."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence is above `low` and up to `high`; null where there are none.

    `confidence` is their mean confidence, `accuracy` the part of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """The difference between confidence and accuracy.

    `ece` is the expected calibration error (Guo et al. 2017), 0..1: the mean distance of the two
    over the bins, each weighted by its count.
    """

    ece: float
    bins: Sequence[Bin]


@dataclass(frozen=True)
class Metrics:
    """Metrics computed from probabilities and labels alone.

    `loss` is the mean negative log-likelihood in nats, of probabilities of 2e-16 or more;
    `accuracy_interval` holds 95 % of the probability (Wilson 1927); `top_k_accuracy` is by k, as a
    text.
    """

    n: int
    loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    top_k_accuracy: Mapping[str, float]
    classes: Sequence[ClassReport]
    confusion_matrix: Confusion
    calibration: Calibration


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for something else. Probabilities are of the two classes."""

    filename: str
    label: str
    label_probability: float
    predicted: str
    predicted_probability: float
    thumbnail: str | None = None


@dataclass(frozen=True)
class Report(Metrics):
    """All of it.

    `labelled` counts the images of the set: more than `n` and the skipped ones together where the
    evaluation was cut short. `skipped` are the first of the files that count for nothing,
    `skipped_count` is how many there are, and `unknown_folders` counts the files in folders that
    are not named after a class: in those with the most files, of `unknown_folder_count` in all.
    `images_per_s` counts images from reading to probabilities.
    """

    model: Mapping[str, str]
    engine: Mapping[str, str]
    worst_mistakes: Sequence[Mistake]
    skipped: Sequence[Skipped]
    skipped_count: int
    labelled: int
    unknown_folders: Mapping[str, int]
    unknown_folder_count: int
    seconds: float
    images_per_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self)
