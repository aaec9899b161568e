"""Response bodies of evaluations."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from app.api.schemas.common import ModelReference, Schema


class DatasetOut(Schema):
    """A data set on the host."""

    name: str
    folders: list[str] = Field(description="its folders; those with the name of a class are used")


class DatasetsOut(Schema):
    """The data sets on the host."""

    datasets: list[DatasetOut]


class ClassReportOut(Schema):
    """The metrics of one class; null if it was never predicted, or has no images."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int = Field(description="images of the class")


class ConfusionOut(Schema):
    """The confusion matrix."""

    labels: list[str]
    counts: list[list[int]] = Field(
        description="rows are true classes, columns are predicted classes"
    )


class BinOut(Schema):
    """The predictions in one range of confidence; null if there are none."""

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
    """An image with a wrong prediction."""

    filename: str
    label: str
    label_probability: float
    predicted: str
    predicted_probability: float
    links: MistakeLinks


class SkippedOut(Schema):
    """A skipped file."""

    filename: str
    reason: str


class ReportOut(Schema):
    """The metrics of a model on labeled images, and its worst mistakes."""

    model: ModelReference
    engine: EngineOut
    n: int = Field(description="images that count")
    labeled: int = Field(
        description="images in the set; more than were evaluated if the job was finished early"
    )
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
        description="the number of files in the largest folders that match no class"
    )
    unknown_folder_count: int = Field(description="the number of such folders")
    seconds: float
    images_per_s: float


def report_out(document: Mapping[str, Any], job_id: str) -> ReportOut:
    """Build the response from the stored report of a job."""
    mistakes = [_linked(mistake, job_id) for mistake in document["worst_mistakes"]]
    folders = {"unknown_folder_count": len(document["unknown_folders"])}  # older reports
    return ReportOut.model_validate({**folders, **document, "worst_mistakes": mistakes})


def _linked(mistake: Mapping[str, Any], job_id: str) -> dict[str, Any]:
    thumbnail = f"/jobs/{job_id}/files/{mistake['thumbnail']}"
    return {**mistake, "links": {"thumbnail": thumbnail}}
