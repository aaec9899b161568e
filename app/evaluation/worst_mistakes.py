"""The mistakes that are most worth a look."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.evaluation.arrays import Probabilities
from app.evaluation.errors import UnreadableError
from app.evaluation.labeled_images import LabelledFile
from app.evaluation.report import Mistake
from app.evaluation.sources import Source
from app.vision.errors import ImageError
from app.vision.images import ImageLimits, read_header

_SHOWN = 12
_THUMBNAIL_PX = 192
_THUMBNAIL_QUALITY = 85


def worst(
    probabilities: Probabilities, files: Sequence[LabelledFile], classes: Sequence[str]
) -> list[Mistake]:
    """Find the images that were taken for another class, those first whose own was least likely.

    `probabilities` are float32 (N, K), in the order of the N files.
    """
    labels = [file.label for file in files]
    own = probabilities[range(len(files)), labels]
    predicted = probabilities.argmax(axis=1)
    return [
        Mistake(
            filename=files[index].name,
            label=classes[labels[index]],
            label_probability=float(own[index]),
            predicted=classes[predicted[index]],
            predicted_probability=float(probabilities[index, predicted[index]]),
        )
        for index in (int(each) for each in own.argsort(kind="stable"))
        if predicted[index] != labels[index]
    ][:_SHOWN]


def illustrated(
    mistakes: Sequence[Mistake], source: Source, limits: ImageLimits
) -> Iterator[tuple[Mistake, bytes]]:
    """Give each mistake a thumbnail, a JPEG; those whose file has gone meanwhile are left out."""
    for number, mistake in enumerate(mistakes, start=1):
        try:
            image = read_header(source.read(mistake.filename, limits.max_bytes), limits).decode()
        except (UnreadableError, ImageError):
            continue
        image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_THUMBNAIL_QUALITY)
        yield replace(mistake, thumbnail=f"mistake-{number:02}.jpg"), buffer.getvalue()
