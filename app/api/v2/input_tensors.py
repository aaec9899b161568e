"""The elements of input tensors, in JSON or as binary data: image files, or pixels.

The shapes have been checked, so nothing larger than the request is allocated.
"""

import base64
import math
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.api.v2.errors import MalformedInferenceError
from app.api.v2.request_body import ELEMENT_LENGTH, LENGTH_HEADER
from app.api.v2.schemas import RequestInput

_NUMBERS: dict[str, set[type]] = {"UINT8": {int}, "FP32": {int, float}}
_LARGEST = {"UINT8": 255, "FP32": 1}
_BINARY: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}


def files(given: RequestInput, binary: bytearray) -> list[bytes]:
    """Read image files from a BYTES tensor.

    Raises:
        MalformedInferenceError: the data does not match its description.
    """
    data = _data_of(given, binary)
    if data is None:
        return _elements(binary, given.shape[0])
    return [_from_base64(each) for each in _flat(data, given.shape)]


def pictures(given: RequestInput, binary: bytearray) -> list[Tensor]:
    """Read preprocessed pictures, each uint8 (C, H, W), from a UINT8 or FP32 tensor.

    Raises:
        MalformedInferenceError: the data does not match its description.
    """
    data = _data_of(given, binary)
    values = _from_binary(given, binary) if data is None else _from_json(given, data)
    rows = values.reshape(given.shape)
    levels = np.empty(given.shape, np.uint8)
    for row, scaled in zip(levels, rows, strict=True):  # one at a time, because they may be large
        row[...] = _levels(scaled, given)
    if given.datatype == "UINT8":
        levels = np.ascontiguousarray(levels.transpose(0, 3, 1, 2))
    return list(torch.from_numpy(levels))  # (B, C, H, W)


def _levels(values: NDArray[Any], given: RequestInput) -> NDArray[Any]:
    """Round each value to the nearest of 256 levels."""
    if values.dtype == np.uint8:
        return values
    most = _LARGEST[given.datatype]
    levels = np.rint(values * (255 / most))
    if not (levels.min() >= 0 and levels.max() <= 255):  # nor is NaN
        raise MalformedInferenceError(
            f"'{given.name}' has values from 0 to {most}, not normalized; these are from "
            f"{values.min():g} to {values.max():g}"
        )
    return levels


def _data_of(given: RequestInput, binary: bytearray) -> list[Any] | None:
    """Return the elements in JSON, or None if they are in `binary`."""
    size = given.parameters.binary_data_size if given.parameters else None
    if (size is None) == (given.data is None):
        raise MalformedInferenceError(
            f"'{given.name}' needs `data`, or `binary_data_size` in its parameters, and not both"
        )
    if (size or 0) != len(binary):
        raise MalformedInferenceError(
            f"{len(binary)} bytes follow the JSON object, but `binary_data_size` is {size or 0}; "
            f"{LENGTH_HEADER} says where the object ends"
        )
    return given.data


def _elements(binary: bytearray, count: int) -> list[bytes]:
    elements: list[bytes] = []
    view = memoryview(binary).toreadonly()
    at = 0
    while len(elements) < count and at + ELEMENT_LENGTH.size <= len(binary):
        (length,) = ELEMENT_LENGTH.unpack_from(binary, at)
        start = at + ELEMENT_LENGTH.size
        at = start + length
        elements.append(bytes(view[start:at]))
    view.release()  # so that the body can be freed
    if len(elements) != count or at != len(binary):
        raise MalformedInferenceError(
            f"the binary data is not {count} elements, each after its length in bytes "
            "(four bytes, little-endian)"
        )
    return elements


def _from_base64(element: Any) -> bytes:
    try:
        return base64.b64decode(element, validate=True)
    except (TypeError, ValueError):
        raise MalformedInferenceError(
            "In JSON, an encoded image is a base64 string. Send that, or binary data."
        ) from None


def _from_binary(given: RequestInput, binary: bytearray) -> NDArray[Any]:
    dtype = _BINARY[given.datatype]
    expected = math.prod(given.shape) * dtype.itemsize
    if len(binary) != expected:
        raise MalformedInferenceError(
            f"'{given.name}' of this shape is {expected} bytes, not {len(binary)}"
        )
    return np.frombuffer(binary, dtype)


def _from_json(given: RequestInput, data: list[Any]) -> NDArray[Any]:
    numbers = _flat(data, given.shape)
    if not set(map(type, numbers)) <= _NUMBERS[given.datatype]:
        kind = "whole numbers" if given.datatype == "UINT8" else "numbers"
        raise MalformedInferenceError(f"'{given.name}' has elements that are no {kind}")
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        raise MalformedInferenceError(f"'{given.name}' has a number that is too large") from None


def _flat(data: list[Any], shape: list[int]) -> list[Any]:
    """Flatten elements that are nested like the shape; flat ones are returned unchanged."""
    malformed = MalformedInferenceError(
        f"`data` is neither {math.prod(shape)} elements in a row nor nested as {shape}"
    )
    if data and isinstance(data[0], list):
        if len(data) != shape[0]:
            raise malformed
        for side in shape[1:]:
            if not all(isinstance(row, list) and len(row) == side for row in data):
                raise malformed
            data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise malformed
    return data
