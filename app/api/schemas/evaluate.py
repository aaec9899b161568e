"""Response bodies of evaluations."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from app.api.schemas.common import ModelReference, Schema


class DatasetOut(Schema):
    """A folder of the host's own."""

    name: str
    folders: list[str] = Field(description="the folders in it; those named after a class count")


class DatasetsOut(Schema):
    """The data sets of this host."""

    datasets: list[DatasetOut]


class ClassReportOut(Schema):
    """One class; null where it was never predicted, or there was nothing to find."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int = Field(description="images of the class")


class ConfusionOut(Schema):
    """The confusion matrix."""

    labels: list[str]
    counts: list[list[int]] = Field(description="rows are true classes, columns predicted ones")


class BinOut(Schema):
    """The predictions of some confidence; null where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None = Field(description="their mean")
    accuracy: float | None


class CalibrationOut(Schema):
    """The difference between confidence and accuracy."""

    ece: float = Field(description="expected calibration error, 0..1")
    bins: list[BinOut]


class EngineOut(Schema):
    """The engine that computed the predictions."""

    name: str
    device: str
    dtype: str


class MistakeLinks(Schema):
    """Links to a mistake's picture."""

    thumbnail: str


class MistakeOut(Schema):
    """An image that was taken for something else."""

    filename: str
    label: str
    label_probability: float
    predicted: str
    predicted_probability: float
    links: MistakeLinks


class SkippedOut(Schema):
    """A file that counts for nothing."""

    filename: str
    reason: str


class ReportOut(Schema):
    """The metrics of a model on labeled images, and its worst mistakes."""

    model: ModelReference
    engine: EngineOut
    n: int = Field(description="images that count")
    labelled: int = Field(description="images of the set; more if it was cut short by `finish`")
    loss: float = Field(description="mean negative log-likelihood, nats")
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(description="95 % (Wilson)")
    top_k_accuracy: dict[str, float] = Field(description="by k", examples=[{"1": 0.84, "3": 0.97}])
    classes: list[ClassReportOut]
    confusion_matrix: ConfusionOut
    calibration: CalibrationOut
    worst_mistakes: list[MistakeOut]
    skipped: list[SkippedOut] = Field(description="the first of them")
    skipped_count: int
    unknown_folders: dict[str, int] = Field(
        description="files in folders that are no class, of those folders with the most files"
    )
    unknown_folder_count: int = Field(description="how many such folders there are")
    seconds: float
    images_per_s: float


def report_out(document: Mapping[str, Any], job_id: str) -> ReportOut:
    """Build the answer from a stored report of a job."""
    mistakes = [_linked(mistake, job_id) for mistake in document["worst_mistakes"]]
    folders = {"unknown_folder_count": len(document["unknown_folders"])}  # reports of before
    return ReportOut.model_validate({**folders, **document, "worst_mistakes": mistakes})


def _linked(mistake: Mapping[str, Any], job_id: str) -> dict[str, Any]:
    thumbnail = f"/jobs/{job_id}/files/{mistake['thumbnail']}"
    return {**mistake, "links": {"thumbnail": thumbnail}}
