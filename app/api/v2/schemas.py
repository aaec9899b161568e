"""Request and response bodies of the Open Inference Protocol.

Requests are validated strictly: a number is not a string, and true is not a number. Unknown
parameters and fields are ignored, as the protocol requires.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_MAX_INT64 = 2**63 - 1

Datatype = Literal["BYTES", "UINT8", "FP32"]
InputName = Literal["encoded", "pixels", "tensor"]
OutputName = Literal["probabilities"]
Count = Annotated[int, Field(ge=0, le=_MAX_INT64)]


class _Asked(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(strict=True, frozen=True)


class RequestParameters(_Asked):
    """Parameters of a request."""

    binary_data_output: bool = Field(False, description="send outputs as binary data")
    timeout: Count = Field(0, description="microseconds to wait for the answer; 0: no limit")


class InputParameters(_Asked):
    """Parameters of an input."""

    binary_data_size: Count | None = Field(
        None, description="bytes of the tensor, which follow the JSON object"
    )


class OutputParameters(_Asked):
    """Parameters of a requested output."""

    binary_data: bool | None = Field(None, description="send it as binary data")
    classification: int | None = Field(
        None,
        ge=1,
        le=_MAX_INT64,
        description="the number of classes to return as text `value:index:label`, most probable "
        "first; a larger number than there are classes means all",
    )
    shared_memory_region: Any = Field(None, description="not offered")


class RequestInput(_Asked):
    """The images to classify."""

    name: InputName
    datatype: Datatype
    shape: list[Count] = Field(fail_fast=True, description="as in the model's metadata")
    parameters: InputParameters | None = None
    data: list[Any] | None = Field(
        None, description="flat, or nested like the shape; without it, binary data follows"
    )


class RequestOutput(_Asked):
    """A requested output."""

    name: OutputName
    parameters: OutputParameters | None = None


class InferenceRequest(_Asked):
    """An inference request: images, and the form of the response."""

    id: str | None = Field(None, description="returned with the response")
    parameters: RequestParameters | None = None
    inputs: list[RequestInput] = Field(
        min_length=1, max_length=1, fail_fast=True, description="exactly one"
    )
    outputs: list[RequestOutput] | None = Field(
        None, max_length=1, fail_fast=True, description="one, or none for the default"
    )


class _Told(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(frozen=True)


class BinarySize(_Told):
    """Parameters of a binary output."""

    binary_data_size: int = Field(description="bytes, which follow the JSON object")


class ResponseOutput(_Told):
    """The output tensor of an inference."""

    name: OutputName
    datatype: Literal["FP32", "BYTES"]
    shape: list[int] = Field(description="number of images, number of classes")
    parameters: BinarySize | None = Field(None, exclude_if=lambda value: value is None)
    data: list[float] | list[str] | None = Field(None, exclude_if=lambda value: value is None)


class InferenceResponse(_Told):
    """The response to an inference request."""

    model_name: str = Field(examples=["cifar10"])
    model_version: str = Field(description="start of the checkpoint's SHA-256")
    id: str | None = Field(
        None, description="that of the request", exclude_if=lambda value: value is None
    )
    outputs: list[ResponseOutput]


class ServerLive(_Told):
    """Liveness. Clients check the status code or this."""

    live: Literal[True] = True


class ServerReady(_Told):
    """Readiness of all models."""

    ready: Literal[True] = True


class ModelReady(_Told):
    """Readiness of a model."""

    name: str = Field(examples=["cifar10"])
    ready: Literal[True] = True


class ServerMetadata(_Told):
    """The server's name, version and extensions."""

    name: str = Field(examples=["atelier"])
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data", "classification"]])


class InputMetadata(_Told):
    """An input signature."""

    name: InputName
    datatype: Datatype
    shape: list[int] = Field(description="-1 stands for the number of images")
    description: str = Field(description="what its elements mean")


class OutputMetadata(_Told):
    """The output tensor of a model."""

    name: OutputName
    datatype: Datatype
    shape: list[int] = Field(description="-1 stands for the number of images")
    labels: list[str] = Field(description="names of the classes, by index")


class ModelMetadata(_Told):
    """A served model."""

    name: str = Field(examples=["cifar10"])
    versions: list[str] = Field(description="the one that is served")
    platform: str = Field(description="what runs the network", examples=["openvino"])
    inputs: list[InputMetadata] = Field(
        description="alternatives: a request has exactly one of them"
    )
    outputs: list[OutputMetadata]


class ProtocolError(_Told):
    """An error in the form of the protocol."""

    error: str = Field(description="what is wrong with the request, and what to do")
