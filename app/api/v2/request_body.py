"""A request's body: a JSON object, and the binary data that may follow it.

The header `Inference-Header-Content-Length` says where the object ends; 0 stands for one encoded
image without any. What is made of JSON takes far more memory than its bytes: it has to be short.
"""

import struct

from pydantic import ValidationError

from app.api.uploads.body import UploadTooLargeError
from app.api.v2.errors import MalformedInferenceError
from app.api.v2.schemas import (
    InferenceRequest,
    InputParameters,
    RequestInput,
    RequestParameters,
)

LENGTH_HEADER = "Inference-Header-Content-Length"
ELEMENT_LENGTH = struct.Struct("<I")
"""What precedes each element of a BYTES tensor in binary data."""

_MAX_JSON_BYTES = 4_000_000
_LARGE_JSON_BYTES = 64_000
_MOST_OF = {
    b":": (1_000, "members"),
    b"{": (100, "objects"),
    b"[": (150_000, "lists"),
    b",": (500_000, "elements"),
}
"""How often each of the signs that structure JSON may occur; only `data` needs very many of any."""


def is_large(body: bytearray, header_length: int | None) -> bool:
    """Tell whether the JSON object is one that stops all other threads while it is parsed."""
    return (len(body) if header_length is None else header_length) > _LARGE_JSON_BYTES


def take_request(body: bytearray, header_length: int | None) -> InferenceRequest:
    """Take the JSON object from the start of a body; binary data is what is left of that.

    Args:
        body: what the client sent.
        header_length: bytes of the object; None is all there are.

    Raises:
        MalformedInferenceError: there is no such object, or not so many bytes.
        UploadTooLargeError: the object is longer, or has more parts, than is read.
    """
    if header_length == 0:
        return _raw(body)
    length = len(body) if header_length is None else header_length
    if length > len(body):
        raise MalformedInferenceError(
            f"{LENGTH_HEADER} is {length}, but the body has {len(body)} bytes; "
            "it is the length of the JSON object"
        )
    if length > _MAX_JSON_BYTES:
        raise _too_long(f"{_MAX_JSON_BYTES:,} bytes")
    text = bytes(body[:length])
    for sign, (most, things) in _MOST_OF.items():
        if text.count(sign) > most:
            raise _too_long(f"{most:,} {things}")
    del body[:length]
    return _read(text)


def _raw(body: bytearray) -> InferenceRequest:
    """Make a request of an image alone, which becomes the one element of a BYTES tensor."""
    body[:0] = ELEMENT_LENGTH.pack(len(body))
    return InferenceRequest(
        parameters=RequestParameters(binary_data_output=True),
        inputs=[
            RequestInput(
                name="encoded",
                datatype="BYTES",
                shape=[1],
                parameters=InputParameters(binary_data_size=len(body)),
            )
        ],
    )


def _read(text: bytes) -> InferenceRequest:
    try:
        return InferenceRequest.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, found["loc"]))
        reason = f"{where}: {found['msg']}" if where else found["msg"]
        raise MalformedInferenceError(f"this is no inference request: {reason}") from None


def _too_long(most: str) -> UploadTooLargeError:
    return UploadTooLargeError(
        f"the JSON object may have at most {most}; send the tensor as binary data"
    )
