"""What can go wrong in a request of the protocol, and which requests are of it.

path --served--> model               UnknownVersionError (and serving's errors of models)
body --framing--> request, bytes     MalformedInferenceError
request, bytes --tensors--> images   MalformedInferenceError
"""

from app.vision.errors import AtelierError


class MalformedInferenceError(AtelierError):
    """The request is not what the protocol, or the model's metadata, says."""


class UnknownVersionError(AtelierError):
    """The model is served in another version."""


def is_of_protocol(path: str) -> bool:
    """Whether a path is one of the Open Inference Protocol's, which has errors of its own form."""
    return path == "/v2" or path.startswith("/v2/")
