"""Response bodies that several routes share."""

from pydantic import BaseModel, ConfigDict, Field

from app.engines.selection import SelectionState
from app.serving.reloader import ReloadOutcome


class Schema(BaseModel):
    """Base of all response bodies; they are built from dataclasses."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class FieldProblem(Schema):
    """An error in one field of the request."""

    field: str = Field(description="the path of the field, such as `query.top_k`")
    message: str


class Problem(Schema):
    """A problem document (RFC 9457)."""

    type: str = Field(examples=["urn:atelier:problem:image_too_large"])
    title: str = Field(examples=["The image is too large"])
    status: int = Field(examples=[413])
    detail: str = Field(description="what is wrong with the request, and what to do")
    code: str = Field(description="a stable code for programs", examples=["image_too_large"])
    field: str | None = Field(
        None,
        description="the form field that has to change, if it is a single one",
        examples=["content"],
        exclude_if=lambda field: field is None,
    )
    errors: list[FieldProblem] | None = Field(
        None, description="only with `invalid_request`", exclude_if=lambda errors: errors is None
    )


class LimitsOut(Schema):
    """The limits of the service, named as its settings."""

    max_image_bytes: int = Field(description="of one image")
    max_image_pixels: int = Field(description="of one image")
    max_request_files: int = Field(description="images in one request")
    max_request_bytes: int = Field(description="of one request with images")
    max_archive_bytes: int = Field(description="of an archive for evaluation")
    max_archive_entries: int = Field(description="files in such an archive")
    max_size: int = Field(description="longest side of a painting, px")


class ModelReference(Schema):
    """The model, and the version of its weights."""

    name: str = Field(examples=["cifar10"])
    version: str = Field(description="start of the checkpoint's SHA-256")


class PredictionOut(Schema):
    """A class and its probability."""

    label: str = Field(examples=["cat"])
    index: int = Field(ge=0, description="position in the model's list of classes")
    probability: float = Field(ge=0, le=1, description="softmax output; all classes sum to 1")


class ImageOut(Schema):
    """The decoded image, upright."""

    width: int = Field(description="px")
    height: int = Field(description="px")
    format: str = Field(examples=["JPEG"])


class Classification(Schema):
    """The predictions for one image."""

    model: ModelReference
    predictions: list[PredictionOut] = Field(description="most probable first")
    image: ImageOut


class FileClassified(Schema):
    """One of several images."""

    filename: str | None
    predictions: list[PredictionOut]


class FileRefused(Schema):
    """One of several images that cannot be used; the others are not affected."""

    filename: str | None
    error: Problem


class Classifications(Schema):
    """The results for several images, in the order in which they were sent."""

    model: ModelReference
    results: list[FileClassified | FileRefused]


class ClassScoreOut(Schema):
    """The correct predictions for one class."""

    correct: int
    total: int


class ScoresOut(Schema):
    """The metrics of the model on one split, measured after training."""

    count: int = Field(description="images in the split")
    loss: float = Field(description="mean negative log-likelihood, nats")
    accuracy: float = Field(ge=0, le=1)
    classes: dict[str, ClassScoreOut]


class DataOut(Schema):
    """The data that the model was trained on."""

    name: str
    source: str
    split: str = Field(description="identifies the train/validation split")
    train_count: int


class MetricsOut(Schema):
    """Data and results of the training run that made the checkpoint."""

    data: DataOut
    validation: ScoresOut
    test: ScoresOut


class InputOut(Schema):
    """The input of the network; every image is preprocessed to it."""

    channels: int
    height: int = Field(description="px")
    width: int = Field(description="px")
    mean: list[float] = Field(description="per channel, of pixels in 0..1")
    std: list[float] = Field(description="per channel, of pixels in 0..1")
    preparation: str = Field(description="`photo`: center crop; `digit`: cut out and centered")
    resize_px: int = Field(description="shorter side before the center crop, px")


class LayerOut(Schema):
    """One row of the layer table."""

    name: str
    type: str
    output_shape: list[int] = Field(description="without the batch")
    parameters: int
    receptive_field_px: int = Field(description="side of the input square that one output sees")


class ModelOut(Schema):
    """A served model."""

    name: str
    available: bool = True
    version: str
    classes: list[str]
    input: InputOut
    parameters: int
    layers: list[LayerOut]
    metrics: MetricsOut
    sha256: str
    engine: str = Field(description="what runs the network", examples=["openvino"])
    engine_reason: str = Field(description="the reason for this engine, with the measurements")
    engine_selection: SelectionState = Field(
        description="`pending`: the reference engine is used until a faster one has been "
        "selected; `done`: the selection is finished; `failed`: the reference engine is used, and "
        "`engine_reason` says why"
    )
    device: str
    dtype: str


class UnavailableModelOut(Schema):
    """A model that is not available, and the reason."""

    name: str
    available: bool = False
    reason: str


class ModelsOut(Schema):
    """All models."""

    models: list[ModelOut | UnavailableModelOut]


class ReloadedOut(Schema):
    """The outcome for one model."""

    outcome: ReloadOutcome = Field(
        description="`unchanged`: the files have not changed; `reloaded`: the new files are "
        "served; `refused`: the new files cannot be used; `missing`: there are no files. In the "
        "last two cases the previous model stays"
    )
    version: str | None = Field(description="the version that is served now; null if there is none")
    reason: str | None = Field(
        description="the reason, if the model was refused or its files are missing"
    )


class ReloadsOut(Schema):
    """The outcome for all models."""

    models: dict[str, ReloadedOut] = Field(description="by name")


class LiveOut(Schema):
    """The process runs."""

    status: str = "live"


class WorkerOut(Schema):
    """A worker process."""

    name: str
    device: str
    dtype: str = Field(description="the dtype of the convolutions")


class ReadyOut(Schema):
    """The readiness of the service."""

    status: str = Field(examples=["ready", "loading"])
    models: dict[str, bool] = Field(description="which models answer")
    selecting: list[str] = Field(description="models whose engine is still being selected")
    workers: list[WorkerOut] = Field(
        description="the workers that are alive; readiness does not depend on them"
    )
