"""Errors of jobs, one class per cause.

request --store.create--> job            JobQueueFullError, QuotaError, FilesTooLargeError,
                                         IdempotencyError, StorageFullError
key --storage--> bytes                   StorageOfflineError, StorageUnavailableError,
                                         StorageUrlError
id --store.find--> job                   UnknownJobError
job --store.remove, result, continue-->  JobStateError, ResultExpiredError, UnknownFileError
claimed job --queue--> its next state    ReplacedError
url --database--> anything               DatabaseUrlError, StoreUnavailableError
database --migrate--> latest revision    DatabaseRevisionError
job --runner--> result                   BadJobError
"""

from app.errors import AtelierError


class UnknownJobError(AtelierError):
    """The caller has no job of that id."""


class UnknownFileError(AtelierError):
    """The job has no file of that name."""


class JobStateError(AtelierError):
    """The operation is not possible in the job's state."""


class ResultExpiredError(AtelierError):
    """The job's files have been removed."""


class JobQueueFullError(AtelierError):
    """The limit of waiting jobs, in all or of this caller, has been reached."""


class QuotaError(AtelierError):
    """The files of this caller's jobs use the whole quota.

    `retry_after_s`: the time until the first of them expire.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FilesTooLargeError(AtelierError):
    """The files of this job alone exceed the caller's quota."""


class StorageFullError(AtelierError):
    """The disk has too little free space."""


class StorageUnavailableError(AtelierError):
    """The files of jobs cannot be read or written at the moment."""


class StorageOfflineError(OSError):
    """The object store does not answer or refuses.

    This may be temporary and is not the job's fault.
    """


class StorageUrlError(AtelierError):
    """The URL of the object store cannot be used."""


class IdempotencyError(AtelierError):
    """The idempotency key was used for another request."""


class DatabaseUrlError(AtelierError):
    """The URL of the database cannot be used."""


class DatabaseRevisionError(AtelierError):
    """The database has another revision than this program."""


class StoreUnavailableError(AtelierError):
    """The database does not answer, or it is locked."""


class ReplacedError(AtelierError):
    """The job is no longer this worker's: it was claimed again, or it has ended."""


class BadJobError(AtelierError):
    """The job can never succeed, so it is not retried.

    `code` is a stable code for programs, the message a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
