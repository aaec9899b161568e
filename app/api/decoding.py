"""The decoding step of classification: from an uploaded image to a model's input."""

from collections.abc import Callable

from torch import Tensor

from app.api.deps import Services
from app.serving.decoder import Prepared
from app.serving.loader import ServedModel


async def decode_for(
    services: Services,
    model: ServedModel,
    data: bytes,
    flow: str,
    count_pixels: Callable[[int], None],
) -> Prepared[Tensor]:
    """Decode and preprocess an image for a model.

    Raises:
        QueueFullError: too many images are waiting.
        ImageError: the image cannot be used.
    """
    return await services.decoder.prepare(
        data,
        model.classifier.prepare,
        flow,
        model.choice.enough_px,
        count_pixels,
    )
