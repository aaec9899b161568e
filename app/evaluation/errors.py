"""What can go wrong with a labelled set.

path --open_source--> Source            ArchiveError, ArchiveTooLargeError
Source --label--> Labels                NothingLabelledError
name --find_dataset--> folder           UnknownDatasetError
Source --read--> bytes                  UnreadableError, of one file only
"""

from app.errors import AtelierError


class ArchiveError(AtelierError):
    """Not a zip archive, a damaged one, one that no honest program makes, or an unreadable set."""


class ArchiveTooLargeError(AtelierError):
    """The archive has more entries, or more bytes once unpacked, than are accepted."""


class NothingLabelledError(AtelierError):
    """No file is in a folder that is named after a class, or it is not clear after which."""


class UnknownDatasetError(AtelierError):
    """The host has no data set of that name."""


class UnreadableError(AtelierError):
    """A file of the set cannot be read."""
