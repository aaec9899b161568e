"""The codec by itself: what comes out of bodies that hypothesis makes up, and of good ones."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.api.uploads.body import UploadTooLargeError
from app.api.v2 import input_tensors, signature
from app.api.v2.errors import MalformedInferenceError
from app.api.v2.request_body import take_request
from app.vision.specs import MNIST

SPEC = MNIST.input
MAX_IMAGES = 4
SIDES = st.sampled_from([-1, 0, 1, 2, 5, 28, 2**40, 2**70, True, 1.0, None, "1"])
NUMBERS = st.integers(-1, 256) | st.floats() | st.booleans() | st.text(max_size=3) | st.none()


def read(body: bytes, header_length: int | None) -> list[bytes] | list[Tensor]:
    left = bytearray(body)
    request = take_request(left, header_length)
    asked = request.inputs[0]
    signature.check(asked, SPEC, MAX_IMAGES)
    return (
        input_tensors.files(asked, left)
        if asked.datatype == "BYTES"
        else input_tensors.pictures(asked, left)
    )


def framed(asked: dict[str, Any], binary: bytes = b"") -> tuple[bytes, int]:
    head = json.dumps({"inputs": [asked]}).encode()
    return head + binary, len(head)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """An input that is right in most ways."""
    name, datatype, shape = draw(
        st.sampled_from(
            [
                ("encoded", "BYTES", [1]),
                ("encoded", "BYTES", [2, 1]),
                ("pixels", "UINT8", [1, 28, 28, 1]),
                ("tensor", "FP32", [1, 1, 28, 28]),
            ]
        )
    )
    count = math.prod(shape)
    made: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if draw(st.integers(0, 3)) == 0:
        made["shape"] = draw(st.lists(SIDES, max_size=5))
    if draw(st.booleans()):
        few = draw(st.lists(NUMBERS, max_size=3))
        made["data"] = draw(st.sampled_from([few, [0] * count, [0] * (count - 3) + few, [few]]))
    if draw(st.booleans()):
        sizes = [0, 1, 4, 784, 3136, -1, 2**70, True]
        made["parameters"] = {"binary_data_size": draw(st.sampled_from(sizes))}
    return made


@settings(deadline=None)
@given(inputs(), st.binary(max_size=12) | st.sampled_from([bytes(784), bytes(3136)]), st.data())
def test_any_body_is_read_or_refused(
    asked: dict[str, Any], binary: bytes, data: st.DataObject
) -> None:
    body, length = framed(asked, binary)
    lengths = st.sampled_from([length, length, length, 0, 1, length + 1, len(body), 2**70, None])
    try:
        found = read(body, data.draw(lengths))
    except (MalformedInferenceError, UploadTooLargeError):
        return
    assert 1 <= len(found) <= MAX_IMAGES
    for image in found:
        if isinstance(image, Tensor):
            assert image.dtype == torch.uint8
            assert image.shape == (1, 28, 28)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=MAX_IMAGES))
def test_files_come_out_as_they_went_in(contents: list[bytes]) -> None:
    binary = b"".join(struct.pack("<I", len(each)) + each for each in contents)
    asked = {
        "name": "encoded",
        "datatype": "BYTES",
        "shape": [len(contents)],
        "parameters": {"binary_data_size": len(binary)},
    }
    assert read(*framed(asked, binary)) == contents


def test_a_body_without_json_is_one_file() -> None:
    assert read(b"\xff\xd8", 0) == [b"\xff\xd8"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["pixels", "tensor"])
def test_every_level_of_a_pixel_comes_out_as_it_went_in(name: str, binary: bool) -> None:
    levels = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)
    values = levels if name == "pixels" else (levels / 255).astype(np.float32)
    asked: dict[str, Any] = {
        "name": name,
        "datatype": "UINT8" if name == "pixels" else "FP32",
        "shape": [1, 28, 28, 1] if name == "pixels" else [1, 1, 28, 28],
    }
    data = values.tobytes() if binary else b""
    asked |= (
        {"parameters": {"binary_data_size": len(data)}}
        if binary
        else {"data": values.flatten().tolist()}
    )
    (picture,) = read(*framed(asked, data))
    assert isinstance(picture, Tensor)
    assert torch.equal(picture, torch.from_numpy(levels.copy()).unsqueeze(0))
