"""How each class of error looks from outside. The only place that knows status codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.api import admission, submissions
from app.api.auth import concurrency, identity, rate_limit
from app.api.middleware import csrf
from app.api.routes import style_files
from app.api.uploads import body, decompression, images, multipart
from app.api.v2 import errors as protocol
from app.errors import AtelierError
from app.evaluation import errors as evaluation
from app.jobs import errors as jobs
from app.serving import errors as serving
from app.vision import errors as vision


@dataclass(frozen=True)
class Kind:
    """How one class of error looks from outside.

    `detail` takes the place of the error's own message where that is for operators: it may name
    hosts and paths. The message then goes to the log.
    """

    status: int
    code: str
    title: str
    retry_after_s: int | None = None
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class InvalidRequestError(AtelierError):
    """The request contradicts itself, in a way that no field shows by itself.

    `field` is the one to change, if it is one.
    """

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


INVALID_REQUEST = Kind(422, "invalid_request", "The request is not valid")
INTERNAL_ERROR = Kind(500, "internal_error", "The service failed")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="atelier"'}
KINDS: dict[type[Exception], Kind] = {
    csrf.UnknownHostError: Kind(421, "unknown_host", "The service has another name"),
    csrf.CrossSiteError: Kind(403, "cross_site", "The request comes from another site"),
    identity.KeyRequiredError: Kind(401, "key_required", "A key is needed", headers=_CHALLENGE),
    identity.UnknownKeyError: Kind(401, "unknown_key", "The key is not valid", headers=_CHALLENGE),
    identity.NotAdminError: Kind(403, "not_admin", "Only for administrators"),
    rate_limit.RateLimitedError: Kind(
        429, "rate_limited", "Too much in one minute", retry_after_s=60
    ),
    concurrency.TooManyAtOnceError: Kind(
        429, "too_many_at_once", "Too much at one time", retry_after_s=10
    ),
    vision.UnsupportedFormatError: Kind(415, "unsupported_format", "Not a supported image"),
    vision.UndecodableImageError: Kind(422, "undecodable_image", "The image cannot be decoded"),
    vision.ImageTooLargeError: Kind(413, "image_too_large", "The image is too large"),
    images.UnsupportedUploadError: Kind(415, "unsupported_media_type", "Not a supported upload"),
    decompression.UnsupportedEncodingError: Kind(
        415, "unsupported_encoding", "Not a supported Content-Encoding"
    ),
    multipart.MalformedUploadError: Kind(422, "malformed_upload", "The upload is malformed"),
    body.UploadTooLargeError: Kind(413, "request_too_large", "The request is too large"),
    body.UploadTimeoutError: Kind(408, "upload_timeout", "The upload took too long"),
    images.UploadsBusyError: Kind(503, "overloaded", "The service is busy", retry_after_s=1),
    serving.UnknownModelError: Kind(404, "unknown_model", "There is no such model"),
    serving.ModelUnavailableError: Kind(
        503, "model_unavailable", "The model is not available", retry_after_s=5
    ),
    serving.ReloadInProgressError: Kind(
        409, "reload_in_progress", "Models are being loaded", retry_after_s=5
    ),
    serving.QueueFullError: Kind(503, "overloaded", "The service is busy", retry_after_s=1),
    serving.DeadlineError: Kind(
        503, "deadline_exceeded", "The answer was not ready in time", retry_after_s=1
    ),
    serving.InferenceError: Kind(500, "inference_failed", "The model failed"),
    InvalidRequestError: INVALID_REQUEST,
    protocol.MalformedInferenceError: Kind(
        400, "malformed_inference", "The inference request is malformed"
    ),
    protocol.UnknownVersionError: Kind(404, "unknown_version", "There is no such version"),
    style_files.UnknownStyleError: Kind(404, "unknown_style", "There is no such style"),
    evaluation.ArchiveError: Kind(422, "invalid_archive", "The archive cannot be used"),
    evaluation.ArchiveTooLargeError: Kind(413, "archive_too_large", "The archive is too large"),
    evaluation.NoLabeledFilesError: Kind(422, "nothing_labelled", "No image has a label"),
    evaluation.UnknownDatasetError: Kind(404, "unknown_dataset", "There is no such data set"),
    admission.DoesNotFitError: Kind(422, "size_too_large", "The painting does not fit"),
    admission.UnpaintableError: Kind(422, "unpaintable", "The photograph cannot be painted"),
    submissions.StillReceivingError: Kind(
        409, "still_receiving", "The first request still arrives", retry_after_s=1
    ),
    jobs.IdempotencyError: Kind(
        422, "idempotency_key_reused", "The key belongs to another request"
    ),
    jobs.UnknownJobError: Kind(404, "unknown_job", "There is no such job"),
    jobs.UnknownFileError: Kind(404, "unknown_file", "There is no such file"),
    jobs.JobStateError: Kind(409, "wrong_state", "The job is not in the state for this"),
    jobs.ResultExpiredError: Kind(410, "expired", "The files have been removed"),
    jobs.JobQueueFullError: Kind(429, "queue_full", "Too many jobs wait", retry_after_s=30),
    jobs.QuotaError: Kind(429, "quota_exceeded", "Too much is stored", retry_after_s=30),
    jobs.FilesTooLargeError: Kind(413, "files_too_large", "The files are too large to be stored"),
    jobs.StorageFullError: Kind(507, "storage_full", "The disk is full", retry_after_s=60),
    jobs.StorageUnavailableError: Kind(
        503,
        "storage_unavailable",
        "Files cannot be reached",
        retry_after_s=10,
        detail="The files of jobs cannot be read or written at the moment. Try again later.",
    ),
    jobs.StoreUnavailableError: Kind(
        503,
        "store_unavailable",
        "The job database does not answer",
        retry_after_s=2,
        detail="The job database does not answer at the moment. Try again later.",
    ),
}
FAULTS = {
    "worker_crashed": Kind(500, "worker_crashed", "The worker crashed"),
    "invalid_job": Kind(422, "invalid_job", "The pictures cannot be painted"),
    "invalid_set": Kind(422, "invalid_set", "The images cannot be evaluated on"),
    "model_unavailable": Kind(503, "model_unavailable", "The model is not available"),
    "model_replaced": Kind(409, "model_replaced", "The model has been replaced"),
    "files_missing": Kind(410, "files_missing", "Files of the job have gone"),
    "out_of_memory": Kind(422, "out_of_memory", "The painting does not fit"),
    "storage_failed": Kind(507, "storage_failed", "The files cannot be stored"),
}
