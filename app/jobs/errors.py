"""What can go wrong with a job, one class per cause.

request --store.create--> job            JobQueueFullError, QuotaError, FilesTooLargeError,
                                         IdempotencyError, StorageFullError
key --blobs--> bytes                     BlobsAwayError, StorageUnavailableError, BlobsUrlError
id --store.find--> job                   UnknownJobError
job --store.remove, result, continue-->  JobStateError, ResultExpiredError, UnknownFileError
claimed job --leases--> its next state   ReplacedError
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
    """The job is in a state in which this cannot be done."""


class ResultExpiredError(AtelierError):
    """The job's files have been removed."""


class JobQueueFullError(AtelierError):
    """As many jobs are waiting as the service accepts, in all or from this caller."""


class QuotaError(AtelierError):
    """The files of this caller's jobs take all the room that one may have.

    `retry_after_s`: when the first of them expire.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FilesTooLargeError(AtelierError):
    """The files of this job alone take more room than its caller may have."""


class StorageFullError(AtelierError):
    """Too little disk is free to accept more."""


class StorageUnavailableError(AtelierError):
    """The files of jobs cannot be read or written for now."""


class BlobsAwayError(OSError):
    """The object store does not answer, or refuses: that may pass, and is no fault of the job."""


class BlobsUrlError(AtelierError):
    """The URL of the object store cannot be used."""


class IdempotencyError(AtelierError):
    """The idempotency key was used for another request."""


class DatabaseUrlError(AtelierError):
    """The URL of the database cannot be used."""


class DatabaseRevisionError(AtelierError):
    """The database is not of the revision that this program works with."""


class StoreUnavailableError(AtelierError):
    """The database does not answer, or is locked, for now."""


class ReplacedError(AtelierError):
    """The job is no longer this worker's: it was claimed again, or ended by someone else."""


class BadJobError(AtelierError):
    """The job can never succeed; trying again is no use.

    `code` is a stable word for programs, the message a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
