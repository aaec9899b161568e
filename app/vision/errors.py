"""Errors between bytes and a prediction, one class per cause.

    file --checkpoint.load--> network        CheckpointError (and MissingCheckpointError)
    bytes --images.read_header--> header     UnsupportedFormatError, UndecodableImageError,
                                             ImageTooLargeError
    header --decode--> pixels                UndecodableImageError
    device name --device.choose--> device    DeviceError

Messages are written for the person who sent the bytes or runs the program: they say what is
wrong and what to do.
"""

from app.errors import AtelierError


class ImageError(AtelierError):
    """An image that cannot be used. Its neighbours in the same request are not concerned."""


class UnsupportedFormatError(ImageError):
    """The bytes are not an image in one of the formats that are read."""


class UndecodableImageError(ImageError):
    """The bytes start like a supported format but are broken, cut short or empty."""


class ImageTooLargeError(ImageError):
    """More bytes or more pixels than the limit allows."""


class CheckpointError(AtelierError):
    """A checkpoint that is missing, damaged or not what its sidecar says."""


class MissingCheckpointError(CheckpointError):
    """There is no checkpoint of that name."""


class DeviceError(AtelierError):
    """The requested device does not exist on this host."""
