"""Request and response bodies of the Open Inference Protocol.

Requests are read strictly: a number is no string, and true is no number. Parameters and fields
that are not named here are let pass, as the protocol has it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_MAX_INT64 = 2**63 - 1

Datatype = Literal["BYTES", "UINT8", "FP32"]
InputName = Literal["encoded", "pixels", "tensor"]
OutputName = Literal["probabilities"]
Count = Annotated[int, Field(ge=0, le=_MAX_INT64)]


class _Asked(BaseModel):
    """Base of what clients send."""

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
    """Parameters of an output that is asked for."""

    binary_data: bool | None = Field(None, description="send it as binary data")
    classification: int | None = Field(
        None,
        ge=1,
        le=_MAX_INT64,
        description="how many classes to send as text `value:index:label`, the most probable "
        "first; more than there are means all",
    )
    shared_memory_region: Any = Field(None, description="not offered")


class RequestInput(_Asked):
    """The images to classify."""

    name: InputName
    datatype: Datatype
    shape: list[Count] = Field(fail_fast=True, description="as in the model's metadata")
    parameters: InputParameters | None = None
    data: list[Any] | None = Field(
        None, description="flat, or nested as the shape is; without it, binary data follows"
    )


class RequestOutput(_Asked):
    """An output that is asked for."""

    name: OutputName
    parameters: OutputParameters | None = None


class InferenceRequest(_Asked):
    """Images, and how the answer is to look."""

    id: str | None = Field(None, description="comes back with the answer")
    parameters: RequestParameters | None = None
    inputs: list[RequestInput] = Field(
        min_length=1, max_length=1, fail_fast=True, description="exactly one"
    )
    outputs: list[RequestOutput] | None = Field(
        None, max_length=1, fail_fast=True, description="one, or none for the default"
    )


class _Told(BaseModel):
    """Base of what the service answers."""

    model_config = ConfigDict(frozen=True)


class BinarySize(_Told):
    """Parameters of an output that is sent as binary data."""

    binary_data_size: int = Field(description="bytes, which follow the JSON object")


class ResponseOutput(_Told):
    """The output tensor of an inference."""

    name: OutputName
    datatype: Literal["FP32", "BYTES"]
    shape: list[int] = Field(description="images, then classes")
    parameters: BinarySize | None = Field(None, exclude_if=lambda value: value is None)
    data: list[float] | list[str] | None = Field(None, exclude_if=lambda value: value is None)


class InferenceResponse(_Told):
    """The answer to an inference request."""

    model_name: str = Field(examples=["cifar10"])
    model_version: str = Field(description="start of the checkpoint's SHA-256")
    id: str | None = Field(
        None, description="that of the request", exclude_if=lambda value: value is None
    )
    outputs: list[ResponseOutput]


class ServerLive(_Told):
    """The process runs. Clients look at the status, or at this."""

    live: Literal[True] = True


class ServerReady(_Told):
    """All models have been loaded."""

    ready: Literal[True] = True


class ModelReady(_Told):
    """The model answers."""

    name: str = Field(examples=["cifar10"])
    ready: Literal[True] = True


class ServerMetadata(_Told):
    """The server's name, version and extensions."""

    name: str = Field(examples=["atelier"])
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data", "classification"]])


class InputMetadata(_Told):
    """One way to send images."""

    name: InputName
    datatype: Datatype
    shape: list[int] = Field(description="-1 stands for how many images there are")
    description: str = Field(description="what its elements mean")


class OutputMetadata(_Told):
    """The output tensor of a model."""

    name: OutputName
    datatype: Datatype
    shape: list[int] = Field(description="-1 stands for how many images there are")
    labels: list[str] = Field(description="names of the classes, by index")


class ModelMetadata(_Told):
    """A model that answers."""

    name: str = Field(examples=["cifar10"])
    versions: list[str] = Field(description="the one that is served")
    platform: str = Field(description="what runs the network", examples=["openvino"])
    inputs: list[InputMetadata] = Field(description="alternatives: a request has one of them")
    outputs: list[OutputMetadata]


class ProtocolError(_Told):
    """An error, as the protocol has it."""

    error: str = Field(description="what is wrong with this request, and what to do")
