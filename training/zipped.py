"""Reads images from an archive laid out as NAME/{train,test}/{class}/{n}.jpg."""

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from app.vision.images import ImageLimits, read_header
from training.examples import Examples, spaced


def read(path: Path, part: str, classes: Sequence[str], limit: int | None) -> Examples:
    """Decode one part, or `limit` evenly spaced images of it, in the order of their names.

    Raises:
        ValueError: no such part, an unknown class, or images of different sizes.
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
        chosen = [names[index] for index in spaced(len(names), limit).tolist()]
        encoded = (read_header(archive.read(str(name)), ImageLimits()) for name in chosen)
        pixels = [np.asarray(image.decode()) for image in encoded]  # (H, W, 3) each
    if len({image.shape for image in pixels}) > 1:
        raise ValueError("its images have different sizes")
    return Examples(
        torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([classes.index(name.parts[2]) for name in chosen]),
    )


def _names(archive: zipfile.ZipFile, part: str) -> list[PurePosixPath]:
    paths = (PurePosixPath(name) for name in archive.namelist() if not name.endswith("/"))
    return sorted(path for path in paths if len(path.parts) == 4 and path.parts[1] == part)
