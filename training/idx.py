"""Reads IDX, the format of MNIST's files, plain or packed with gzip.

The header is two zero bytes, the type of the values (8: unsigned byte), the number of dimensions
and their sizes as big-endian 32-bit integers; the values follow.
"""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_UNSIGNED_BYTE = 8


def find(folder: Path, prefix: str) -> tuple[Path, Path] | None:
    """Find the image and label files of one part ("train" or "t10k"), packed or not."""
    images, labels = (
        next(
            (path for path in (folder / name, folder / f"{name}.gz") if path.is_file()),
            None,
        )
        for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    )
    return (images, labels) if images and labels else None


def read(path: Path) -> Tensor:
    """Read one file: uint8, in the shape that its header names.

    Raises:
        ValueError: not an IDX file of unsigned bytes, or cut short.
        OSError, EOFError: it cannot be read or unpacked.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(data) < 4 or data[:3] != bytes((0, 0, _UNSIGNED_BYTE)):
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    header_bytes = 4 + 4 * data[3]
    try:
        shape = struct.unpack(f">{data[3]}I", data[4:header_bytes])
    except struct.error:
        raise ValueError(f"{path.name} is cut short") from None
    if len(data) - header_bytes != math.prod(shape):
        raise ValueError(f"{path.name} does not hold the {math.prod(shape):,} values it names")
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=header_bytes).copy()).view(shape)
