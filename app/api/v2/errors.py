"""What can go wrong in a request of the protocol, and which requests are of it.

path --served--> model               UnknownVersionError (and serving's errors of models)
body --framing--> request, bytes     MalformedInferenceError
request, bytes --tensors--> images   MalformedInferenceError
"""

from app.errors import AtelierError


class MalformedInferenceError(AtelierError):
    """The request is not what the protocol, or the model's metadata, says."""


class UnknownVersionError(AtelierError):
    """The model is served in another version."""


def is_of_protocol(path: str) -> bool:
    """Return whether a path belongs to the Open Inference Protocol, which has its own errors."""
    return path == "/v2" or path.startswith("/v2/")
