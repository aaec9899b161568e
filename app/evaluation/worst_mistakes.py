"""The worst mistakes of a model, with thumbnails."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.evaluation.errors import UnreadableFileError
from app.evaluation.labeled_images import LabeledFile
from app.evaluation.predictions import Probabilities
from app.evaluation.report import Mistake
from app.evaluation.sources import ImageSource
from app.limits import ImageLimits
from app.vision.errors import ImageError
from app.vision.images import read_header

_SHOWN = 12
_THUMBNAIL_PX = 192
_THUMBNAIL_QUALITY = 85


def worst_mistakes(
    probabilities: Probabilities, files: Sequence[LabeledFile], classes: Sequence[str]
) -> list[Mistake]:
    """Find the misclassified images with the lowest probability of the true class.

    `probabilities` are float32 (N, K), in the order of the N files.
    """
    labels = [file.label for file in files]
    true_probabilities = probabilities[range(len(files)), labels]
    predicted = probabilities.argmax(axis=1)
    return [
        Mistake(
            filename=files[index].name,
            label=classes[labels[index]],
            label_probability=float(true_probabilities[index]),
            predicted=classes[predicted[index]],
            predicted_probability=float(probabilities[index, predicted[index]]),
        )
        for index in (int(each) for each in true_probabilities.argsort(kind="stable"))
        if predicted[index] != labels[index]
    ][:_SHOWN]


def with_thumbnails(
    mistakes: Sequence[Mistake], source: ImageSource, limits: ImageLimits
) -> Iterator[tuple[Mistake, bytes]]:
    """Yield each mistake with a JPEG thumbnail; omit those whose file no longer exists."""
    for number, mistake in enumerate(mistakes, start=1):
        try:
            image = read_header(source.read(mistake.filename, limits.max_bytes), limits).decode()
        except (UnreadableFileError, ImageError):
            continue
        image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_THUMBNAIL_QUALITY)
        yield replace(mistake, thumbnail=f"mistake-{number:02}.jpg"), buffer.getvalue()
