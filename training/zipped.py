"""Reading of images from an archive with the layout NAME/{train,test}/{class}/{n}.jpg."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from app.limits import ImageLimits
from app.vision.images import read_header
from training.examples import Examples, spaced


def photographs(
    path: Path, part: str, classes: Sequence[str], limit: int | None
) -> Iterator[tuple[Image.Image, int]]:
    """Decode one part, or `limit` evenly spaced images of it, in the order of their names.

    Yields RGB images of any size with their class indices.

    Raises:
        ValueError: there is no such part, or a class is unknown.
        zipfile.BadZipFile, OSError: the archive is damaged or cannot be read.
        ImageError: an image is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        names = _names(archive, part)
        if not names:
            raise ValueError(f"it has no images at */{part}/CLASS/")
        unknown = {name.parts[2] for name in names} - set(classes)
        if unknown:
            raise ValueError(f"it has unknown classes: {', '.join(sorted(unknown))}")
        for index in spaced(len(names), limit).tolist():
            encoded = read_header(archive.read(str(names[index])), ImageLimits())
            yield encoded.decode(), classes.index(names[index].parts[2])


def read(path: Path, part: str, classes: Sequence[str], limit: int | None) -> Examples:
    """Read the pixels of one part, or of `limit` evenly spaced images of it.

    Raises:
        ValueError: there is no such part, a class is unknown, or the images have different sizes.
        zipfile.BadZipFile, OSError, ImageError: as `photographs`.
    """
    images, labels = zip(*photographs(path, part, classes, limit), strict=True)
    if len({image.size for image in images}) > 1:
        raise ValueError("its images have different sizes")
    pixels = np.stack([np.asarray(image) for image in images])  # (N, H, W, 3)
    return Examples(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels))


def _names(archive: zipfile.ZipFile, part: str) -> list[PurePosixPath]:
    paths = (PurePosixPath(name) for name in archive.namelist() if not name.endswith("/"))
    return sorted(path for path in paths if len(path.parts) == 4 and path.parts[1] == part)
