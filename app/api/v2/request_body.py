"""The body of an inference request: a JSON object, which binary data may follow.

The header `Inference-Header-Content-Length` gives the length of the object; 0 means one encoded
image without an object. Parsed JSON takes far more memory than its bytes, so its length is limited.
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
"""The length before each element of a BYTES tensor in binary data."""

_MAX_JSON_BYTES = 4_000_000
_LARGE_JSON_BYTES = 64_000
_MOST_OF = {
    b":": (1_000, "members"),
    b"{": (100, "objects"),
    b"[": (150_000, "lists"),
    b",": (500_000, "elements"),
}
"""Limits on the structural characters of JSON; only `data` needs many of them."""


def is_large(body: bytearray, header_length: int | None) -> bool:
    """Return whether the JSON object is so large that parsing it blocks other threads."""
    return (len(body) if header_length is None else header_length) > _LARGE_JSON_BYTES


def take_request(body: bytearray, header_length: int | None) -> InferenceRequest:
    """Take the JSON object from the start of a body and leave the binary data.

    Args:
        body: the request body.
        header_length: bytes of the object; None for the whole body.

    Raises:
        MalformedInferenceError: there is no such object, or the body is shorter.
        UploadTooLargeError: the object is too long or has too many parts.
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
    """Return a request for a single encoded image, as the only element of a BYTES tensor."""
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
