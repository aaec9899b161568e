"""What the service answers, field by field."""

from pydantic import BaseModel, ConfigDict, Field

from app.engines.selection import SelectionState
from app.serving.reloader import ReloadOutcome


class Schema(BaseModel):
    """Base of all answers; built from our own dataclasses."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class FieldProblem(Schema):
    """What is wrong with one field of the request."""

    field: str = Field(description="where it is, such as `query.top_k`")
    message: str


class Problem(Schema):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:atelier:problem:image_too_large"])
    title: str = Field(examples=["The image is too large"])
    status: int = Field(examples=[413])
    detail: str = Field(description="what is wrong with this request, and what to do")
    code: str = Field(description="a stable word for programs", examples=["image_too_large"])
    field: str | None = Field(
        None,
        description="the field or part of the form that it is about, where it is one",
        examples=["content"],
        exclude_if=lambda field: field is None,
    )
    errors: list[FieldProblem] | None = Field(
        None, description="only with `invalid_request`", exclude_if=lambda errors: errors is None
    )


class LimitsOut(Schema):
    """How much the service takes; settings of the same names."""

    max_image_bytes: int = Field(description="of one image")
    max_image_pixels: int = Field(description="of one image")
    max_request_files: int = Field(description="images in one request")
    max_request_bytes: int = Field(description="of one request with images")
    max_archive_bytes: int = Field(description="of an archive to evaluate on")
    max_archive_entries: int = Field(description="files in such an archive")
    max_size: int = Field(description="longest side of a painting, px")


class ModelReference(Schema):
    """Which weights answered."""

    name: str = Field(examples=["cifar10"])
    version: str = Field(description="start of the checkpoint's SHA-256")


class PredictionOut(Schema):
    """One class and how probable it is."""

    label: str = Field(examples=["cat"])
    index: int = Field(ge=0, description="position in the model's list of classes")
    probability: float = Field(ge=0, le=1, description="softmax output; all classes sum to 1")


class ImageOut(Schema):
    """What was decoded, upright."""

    width: int = Field(description="px")
    height: int = Field(description="px")
    format: str = Field(examples=["JPEG"])


class Classification(Schema):
    """The answer for one image."""

    model: ModelReference
    predictions: list[PredictionOut] = Field(description="most probable first")
    image: ImageOut


class FileClassified(Schema):
    """One of several images."""

    filename: str | None
    predictions: list[PredictionOut]


class FileRefused(Schema):
    """One of several images that could not be used; the others are not concerned."""

    filename: str | None
    error: Problem


class Classifications(Schema):
    """The answer for several images, in the order in which they were sent."""

    model: ModelReference
    results: list[FileClassified | FileRefused]


class ClassScoreOut(Schema):
    """Test images of one class that were labelled correctly."""

    correct: int
    total: int


class ScoresOut(Schema):
    """How good the model was on a split after training."""

    count: int = Field(description="images in the split")
    loss: float = Field(description="mean negative log-likelihood, nats")
    accuracy: float = Field(ge=0, le=1)
    classes: dict[str, ClassScoreOut]


class DataOut(Schema):
    """What the model was trained on."""

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
    """What the network takes; any image is brought to it."""

    channels: int
    height: int = Field(description="px")
    width: int = Field(description="px")
    mean: list[float] = Field(description="per channel, of pixels in 0..1")
    std: list[float] = Field(description="per channel, of pixels in 0..1")
    preparation: str = Field(description="`photo`: centre crop; `digit`: cut out and centred")
    resize_px: int = Field(description="shorter side before the centre crop, px")


class LayerOut(Schema):
    """One row of the layer table."""

    name: str
    type: str
    output_shape: list[int] = Field(description="without the batch")
    parameters: int
    receptive_field_px: int = Field(description="side of the input square that one output sees")


class ModelOut(Schema):
    """A model that answers."""

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
    engine_reason: str = Field(description="why this one, with what was measured")
    engine_selection: SelectionState = Field(
        description="`pending`: the reference engine answers until a faster one has been selected, "
        "`done`: what answers has been selected, `failed`: the reference engine answers, and "
        "`engine_reason` says why no other could be selected"
    )
    device: str
    dtype: str


class UnavailableModelOut(Schema):
    """A model that does not answer, and why."""

    name: str
    available: bool = False
    reason: str


class ModelsOut(Schema):
    """All models."""

    models: list[ModelOut | UnavailableModelOut]


class ReloadedOut(Schema):
    """What became of one model."""

    outcome: ReloadOutcome = Field(
        description="`unchanged`: its files are those that are served, `reloaded`: what they hold "
        "now is served, `refused`: they cannot be used, `missing`: they are not there; what was "
        "served before then goes on answering"
    )
    version: str | None = Field(description="what is served now; null when nothing is")
    reason: str | None = Field(description="why it was refused, or what is missing")


class ReloadsOut(Schema):
    """What became of all models."""

    models: dict[str, ReloadedOut] = Field(description="by name")


class LiveOut(Schema):
    """The process runs."""

    status: str = "live"


class WorkerOut(Schema):
    """A process that paints."""

    name: str
    device: str
    dtype: str = Field(description="what the convolutions compute in")


class ReadyOut(Schema):
    """Whether the service can answer."""

    status: str = Field(examples=["ready", "loading"])
    models: dict[str, bool] = Field(description="which models answer")
    selecting: list[str] = Field(
        description="models that answer while a faster engine is being selected"
    )
    workers: list[WorkerOut] = Field(description="those alive; none are needed to be ready")
