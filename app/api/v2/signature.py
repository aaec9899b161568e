"""Input signatures of a model: three kinds of tensors, whose first dimension counts images.

Pixels have 8 bits in each of them, as in a decoded image. Every image therefore uses the same queue
and engine, and clients need not know how a checkpoint normalizes its input.
"""

from app.api.uploads.body import UploadTooLargeError
from app.api.v2.errors import MalformedInferenceError
from app.api.v2.schemas import InputMetadata, RequestInput
from app.vision.specs import InputSpec


def kinds(spec: InputSpec) -> list[InputMetadata]:
    """Return the input signatures of a model."""
    height, width, channels = spec.height, spec.width, spec.channels
    return [
        InputMetadata(
            name="encoded",
            datatype="BYTES",
            shape=[-1],
            description="image files in the formats of `POST /classify`; in JSON as base64",
        ),
        InputMetadata(
            name="pixels",
            datatype="UINT8",
            shape=[-1, height, width, channels],
            description="pixels from 0 to 255, cropped and resized by the client, normalized by "
            "the service",
        ),
        InputMetadata(
            name="tensor",
            datatype="FP32",
            shape=[-1, channels, height, width],
            description="such pixels scaled to 0..1, not normalized; each is rounded to the "
            "nearest of 256 levels",
        ),
    ]


def check(given: RequestInput, spec: InputSpec, max_images: int) -> None:
    """Check the description of an input before its data is read.

    Raises:
        MalformedInferenceError: the model has no such input.
        UploadTooLargeError: it has more than `max_images` images.
    """
    kind = next(kind for kind in kinds(spec) if kind.name == given.name)
    if given.datatype != kind.datatype:
        raise MalformedInferenceError(f"'{kind.name}' has the datatype {kind.datatype}")
    shapes = [kind.shape, [-1, 1]] if kind.datatype == "BYTES" else [kind.shape]
    if [-1, *given.shape[1:]] not in shapes or not given.shape:
        raise MalformedInferenceError(
            f"'{kind.name}' has the shape {kind.shape} here, with the number of images for -1"
        )
    if given.shape[0] == 0:
        raise MalformedInferenceError(f"'{kind.name}' has no images; send one or more")
    if given.shape[0] > max_images:
        raise UploadTooLargeError(f"a request may have at most {max_images} images")
