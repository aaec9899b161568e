"""Errors of data sets.

path --open_source--> ImageSource           ArchiveError, ArchiveTooLargeError
ImageSource --label_files--> LabeledSet     NoLabeledFilesError
name --find_dataset--> folder               UnknownDatasetError
ImageSource --read--> bytes                 UnreadableFileError, of one file only
"""

from app.errors import AtelierError


class ArchiveError(AtelierError):
    """The zip archive is invalid, damaged or malicious, or the folder is unreadable."""


class ArchiveTooLargeError(AtelierError):
    """The archive has more entries or more uncompressed bytes than the limit."""


class NoLabeledFilesError(AtelierError):
    """No file is in a folder named after a class, or the class is ambiguous."""


class UnknownDatasetError(AtelierError):
    """The server has no data set of that name."""


class UnreadableFileError(AtelierError):
    """A file of the data set cannot be read."""
