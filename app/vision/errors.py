"""Errors of the vision library, one class per cause.

    file --checkpoint.load--> network        CheckpointError (and MissingCheckpointError)
    bytes --images.read_header--> header     UnsupportedFormatError, UndecodableImageError,
                                             ImageTooLargeError
    header --decode--> pixels                UndecodableImageError
    device name --device.choose--> device    DeviceError

Messages are written for users and operators: they say what is wrong and what to do.
"""

from app.errors import AtelierError


class ImageError(AtelierError):
    """An image that cannot be used. Other images of the same request are not affected."""


class UnsupportedFormatError(ImageError):
    """The bytes are not an image in a supported format."""


class UndecodableImageError(ImageError):
    """The bytes start like a supported format but are damaged, truncated or empty."""


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than the limit."""


class CheckpointError(AtelierError):
    """A checkpoint that is missing, damaged or does not match its sidecar."""


class MissingCheckpointError(CheckpointError):
    """There is no checkpoint of that name."""


class DeviceError(AtelierError):
    """The requested device does not exist on this host."""
