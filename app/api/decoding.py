"""The decoding step of classification: from an uploaded image to a model's input."""

from collections.abc import Callable

from torch import Tensor

from app.api.deps import Services
from app.serving.decoder import DecodedImage
from app.serving.loader import ServedModel


async def decode_for(
    services: Services,
    model: ServedModel,
    data: bytes,
    flow: str,
    count_pixels: Callable[[int], None],
) -> DecodedImage[Tensor]:
    """Decode and preprocess an image for a model.

    Raises:
        QueueFullError: too many images are waiting.
        ImageError: the image cannot be used.
    """
    return await services.decoder.decode(
        data,
        model.classifier.preprocess,
        flow,
        model.selection.min_side_px,
        count_pixels,
    )
