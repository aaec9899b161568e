"""All settings of the service, read once from the environment (`ATELIER_*`).

`python -m tools.settings_docs` writes docs/settings.md from the fields, their descriptions and the
comments above each section.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from PIL import Image
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.cores import available_cores, compute_threads
from app.engines.options import EngineOptions
from app.jobs.storage.factory import StorageOptions
from app.keys import Keyring
from app.limits import ArchiveLimits, ImageLimits, QueueLimits

_BROKERS = ("amqp", "amqps", "redis", "rediss", "sentinel")
_PILLOW_BOMB_PIXELS = Image.MAX_IMAGE_PIXELS or 0


class Settings(BaseSettings):
    """All settings. They do not change while a process runs."""

    model_config = SettingsConfigDict(env_prefix="ATELIER_", frozen=True, allow_inf_nan=False)

    # Address and access
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(
        8000, ge=0, le=65535, description="The port to listen on. 0 picks a free one."
    )
    allow_anonymous: bool = Field(
        False, description="Listen without keys on an address that other hosts can reach."
    )
    allowed_hosts: str = Field(
        "",
        description="The host names under which browsers may reach the service, besides "
        "`localhost` and addresses; `*` allows all. Default: all if there are keys, "
        "otherwise none.",
    )
    api_keys: str = Field(
        "",
        description="The keys that clients may use: `NAME:DIGEST` entries, as `python -m app key "
        "new NAME` prints them, separated by spaces or commas. Without any, every "
        "client that reaches the service may use it.",
    )
    admins: str = Field(
        "",
        description="The names of keys that may use `/admin`. Without any keys, every client may "
        "if the service listens on this host only, and otherwise none may.",
    )
    session_ttl_s: int = Field(
        7 * 86_400, gt=0, description="Seconds after which a browser has to sign in again."
    )
    session_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="The secret that signs the sessions of browsers, of 32 characters or more. "
        "Default: a generated one, kept in the data directory. Hosts that share a "
        "database and have keys need one secret: set the same value on every host.",
    )
    metrics: Literal["keys", "open", "off"] = Field(
        "keys",
        description="The clients that may read `/metrics`: `keys` (those with a key, if there are "
        "any), `open` (all) or `off` (none).",
    )

    # Rate limits
    max_requests_per_minute: int | None = Field(
        None,
        gt=0,
        description="Requests that one caller may send in a minute, on all hosts that share a "
        "database; more are refused with 429. While the database is unreachable there "
        "is no limit. Default: no limit.",
    )
    max_submissions_per_minute: int | None = Field(
        600,
        gt=0,
        description="Requests for a job that one caller may send in a minute, counted in the same "
        "way.",
    )
    max_pixels_per_minute: int | None = Field(
        None,
        gt=0,
        description="Pixels of the images that one caller may send in a minute, counted in the "
        "same way. Archives do not count. Default: no limit.",
    )
    max_keyless_requests_per_minute: int = Field(
        600,
        gt=0,
        description="If there are keys, requests without a valid one that one client address may "
        "send in a minute; more are refused with 429. The page's files and health "
        "probes do not count. Sign-ins are counted separately, with the same limit. "
        "Behind a proxy all clients share the limit, unless `FORWARDED_ALLOW_IPS` "
        "names the proxy, whose `X-Forwarded-For` then counts. Requests with a key "
        "never count.",
    )
    max_streams_per_caller: int = Field(
        100,
        gt=0,
        description="The largest number of event streams and requests with `Prefer: wait` of one "
        "caller (without keys, of one client address) at one time; more are refused "
        "with 429.",
    )

    # Connections
    max_connections: int = Field(
        4096,
        gt=0,
        description="The largest number of connections at one time, as far as the hard limit on "
        "file descriptors allows (two each). Another 32 are kept for health probes. "
        "At the limit, the connection that has been idle for the longest time is "
        "closed for a new one.",
    )
    max_connections_per_peer: int | None = Field(
        None,
        gt=0,
        description="The largest number of connections of one peer (an IPv4 address, or an IPv6 "
        "/64) at one time. Default: half of all, because a reverse proxy is one peer "
        "for all of its clients. Lower it only where clients connect directly, and "
        "let a proxy limit its own clients ([deploy.md](deploy.md)).",
    )
    head_timeout_s: float = Field(
        20.0, gt=0, description="Seconds in which the head of a request has to arrive."
    )
    upload_timeout_s: float = Field(
        120.0, gt=0, description="Seconds in which a request has to arrive."
    )
    upload_stall_s: float = Field(
        10.0, gt=0, description="Seconds without a byte after which an upload is aborted."
    )
    archive_timeout_s: float = Field(
        3600.0, gt=0, description="Seconds in which an archive has to arrive."
    )
    download_stall_s: float = Field(
        30.0,
        gt=0,
        description="Seconds in which a client has to read the next 16 KB of a response; "
        "otherwise its connection is aborted.",
    )
    shutdown_grace_s: float = Field(
        20.0,
        gt=0,
        description="Seconds that running requests have to finish when the service stops.",
    )

    # Upload sizes
    max_image_bytes: int = Field(
        20_000_000, gt=0, description="The largest size of one image, in bytes."
    )
    max_image_pixels: int = Field(
        50_000_000,
        gt=0,
        le=_PILLOW_BOMB_PIXELS,
        description="The largest number of pixels of one image.",
    )
    max_request_files: int = Field(
        64, gt=0, description="The largest number of images in one request."
    )
    max_request_bytes: int = Field(
        100_000_000, gt=0, description="The largest size of one request, in bytes."
    )
    max_upload_bytes: int = Field(
        500_000_000,
        gt=0,
        description="Bytes that all requests together may hold in memory. One caller (without "
        "keys, one client address) may hold half of it, or one request of "
        "`ATELIER_MAX_REQUEST_BYTES` if that is more.",
    )
    max_archive_bytes: int = Field(
        2_000_000_000, gt=0, description="The largest size of an archive for evaluation, in bytes."
    )
    max_archive_entries: int = Field(
        20_000, gt=0, description="The largest number of files in an archive."
    )

    # Device and models
    models_dir: Path = Field(
        Path(__file__).parents[1] / "models", description="The directory of the checkpoints."
    )
    default_model: str = Field(
        "catdog",
        description="The model for requests that name none. If it is not available, the first one "
        "that is.",
    )
    device: str = Field(
        "auto",
        description="The device: `auto` (CUDA if there is a GPU), `cpu`, `cuda` or `cuda:N`.",
    )
    engine: Literal["auto", "torch", "openvino", "int8", "exact"] = Field(
        "auto",
        description="The engine that runs the networks: `auto` (the fastest whose predictions "
        "match the reference), `exact` (PyTorch in float32, on images decoded in "
        "full), `int8` (like `auto`, with INT8 networks if there are any, whose "
        "predictions match only nearly), `torch` or `openvino`.",
    )
    compile: bool = Field(
        False,
        description="Compile the networks on CUDA: the start takes longer, inference is faster.",
    )
    compute_threads: int = Field(
        default_factory=compute_threads,
        gt=0,
        description="Threads in which a network runs on a CPU. Default: `OMP_NUM_THREADS`, "
        "otherwise one per core that the process may use.",
    )

    # Classification and evaluation
    max_batch: int = Field(
        32, gt=0, le=1024, description="The largest number of images in one forward pass."
    )
    max_queue: int = Field(
        256,
        gt=0,
        description="The largest number of images that wait for a model, or for decoding. More "
        "are refused with 503, first those of the caller with most of them.",
    )
    classify_deadline_s: float = Field(
        10.0,
        gt=0,
        description="Seconds in which received images have to be classified; otherwise the "
        "response is 503.",
    )
    max_decoding_pixels: int = Field(
        200_000_000,
        gt=0,
        description="Pixels that may be decoded at one time; each takes about 20 bytes of memory.",
    )
    decode_threads: int = Field(
        default_factory=available_cores,
        gt=0,
        description="Threads that decode images. Default: one per core.",
    )
    decode_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds after which a decoding thread counts as lost. When all are lost, the "
        "web process restarts.",
    )
    datasets: Path = Field(
        Path("data"),
        description="The directory of the data sets for evaluation. Training and tests use it too.",
    )
    max_evaluation_s: float = Field(
        3600.0,
        gt=0,
        description="Seconds after which an evaluation stops and reports on the images it has "
        "seen.",
    )

    # Style transfer
    max_size: int = Field(2048, ge=64, description="The longest side of a painting, in pixels.")
    vgg19_weights: Path | None = Field(
        None,
        description="A file with a state_dict of VGG19 for painting. Default: the original "
        "weights.",
    )
    vgg19_convention: Literal["caffe", "torchvision"] = Field(
        "torchvision", description="The input convention of that file."
    )
    worker_memory_bytes: int | None = Field(
        None,
        gt=0,
        description="Memory that a worker may use, in bytes. Default: all memory of its device.",
    )
    report_s: float = Field(
        1.0, gt=0, description="The shortest time between two previews, in seconds."
    )

    # Data directory, database, broker and object store
    data_dir: Path = Field(
        Path("var"), description="The directory in which the service keeps its state."
    )
    database_url: SecretStr | None = Field(
        None,
        description="The job database: `sqlite:////folder/atelier.db`, or "
        "`postgresql://user:password@host/name`, which several hosts can share "
        "([fleet.md](fleet.md)). Default: SQLite in the data directory.",
    )
    store_timeout_s: float = Field(5.0, gt=0, description="Seconds to wait for the database.")
    broker_url: SecretStr | None = Field(
        None,
        description="The message broker of a fleet: RabbitMQ (`amqp://`) or Redis (`redis://`). "
        "Default: workers poll the database.",
    )
    broker_timeout_s: float = Field(5.0, gt=0, description="Seconds to wait for the broker.")
    blobs_url: str | None = Field(
        None,
        description="The object store for the files of jobs, such as `s3://bucket/folder`; "
        "credentials come from the variables of its own tools (`AWS_*`). Default: the "
        "data directory.",
    )
    blobs_timeout_s: float = Field(5.0, gt=0, description="Seconds to wait for the object store.")
    blobs_redirect: bool = Field(
        True,
        description="Let clients fetch paintings directly from the object store, by a signed link.",
    )
    blobs_public_url: str | None = Field(
        None,
        description="The endpoint under which clients reach the object store. Default: the "
        "service's own.",
    )

    # Job quotas and retention
    max_queued_jobs: int = Field(
        100, gt=0, description="The largest number of waiting jobs; more are refused with 429."
    )
    max_queued_jobs_per_caller: int = Field(
        20,
        gt=0,
        description="The largest number of waiting jobs of one caller; more are refused with 429.",
    )
    max_finished_jobs_per_caller: int = Field(
        10_000,
        gt=0,
        description="The largest number of finished jobs that are kept for one caller. Beyond it, "
        "the oldest are removed with their files.",
    )
    max_stored_bytes_per_caller: int = Field(
        10_000_000_000,
        gt=0,
        description="Bytes that the files of one caller's jobs may take; a job that needs more is "
        "refused with 429.",
    )
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, description="Free bytes on the disk below which no job is accepted."
    )
    result_ttl_s: float = Field(
        7 * 86_400.0,
        gt=0,
        description="Seconds for which the files of a finished job are kept. Only time in which "
        "the service runs counts, and of each pause a tenth of this value, but no "
        "more than a day ([why](decisions/0017-expiry-counts-service-time.md)).",
    )
    job_ttl_s: float = Field(
        30 * 86_400.0,
        gt=0,
        description="Seconds for which a finished job is kept, counted in the same way.",
    )
    orphan_ttl_s: float = Field(
        86_400.0,
        gt=0,
        description="Age in seconds at which files without a job are removed, once they have been "
        "found twice.",
    )

    # Workers, leases and retries
    workers: int = Field(1, ge=0, description="Worker processes on this host. 0 starts none.")
    worker_poll_s: float = Field(
        0.1, gt=0, description="Interval at which an idle worker polls the database, in seconds."
    )
    events_poll_s: float = Field(
        0.25, gt=0, description="Interval at which event streams poll the database, in seconds."
    )
    maintenance_s: float = Field(
        10.0,
        gt=0,
        description="Seconds between two rounds of maintenance, which release lapsed jobs and "
        "remove old ones.",
    )
    checkpoint_s: float = Field(10.0, gt=0, description="Seconds between two checkpoints of a job.")
    lease_s: float = Field(
        30.0, gt=0, description="Seconds without a heartbeat after which a worker loses its job."
    )
    lease_renew_s: float = Field(
        5.0, gt=0, description="Seconds between two heartbeats of a worker."
    )
    lease_give_up_s: float = Field(
        20.0,
        gt=0,
        description="Seconds after which a worker that cannot renew its lease ends itself.",
    )
    stall_s: float = Field(
        300.0,
        gt=0,
        description="Seconds that one step of a job may take (or 20 times its usual duration, if "
        "that is longer). The watchdog then ends the worker.",
    )
    cancel_s: float = Field(
        10.0,
        gt=0,
        description="Seconds for which a worker may ignore a cancellation. The watchdog then ends "
        "it.",
    )
    job_time_limit_s: float = Field(
        86_400.0,
        gt=0,
        description="Seconds after which a fleet's worker that is still running one job is killed.",
    )
    result_wait_s: float = Field(
        600.0,
        gt=0,
        description="Seconds that a worker keeps a result that the object store refuses; then the "
        "job fails.",
    )
    retry_s: float = Field(
        10.0,
        gt=0,
        description="Seconds until a job is tried again after an error; the wait doubles with "
        "each error.",
    )
    restart_s: float = Field(
        0.5,
        gt=0,
        description="Seconds until a process that died is started again; the wait doubles with "
        "each failure.",
    )
    longest_restart_s: float = Field(
        30.0, gt=0, description="Upper bound of this restart back-off, in seconds."
    )

    # Log
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The lowest level of the log lines that are shown."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="The format of the log: `console` for people, `json` for programs."
    )

    @property
    def database(self) -> str:
        """The URL of the job database."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'atelier.db'}"

    @property
    def storage(self) -> StorageOptions:
        """The place of the files of jobs."""
        return StorageOptions(
            self.data_dir,
            self.blobs_url,
            self.blobs_timeout_s,
            self.blobs_redirect,
            self.blobs_public_url,
        )

    @property
    def keyring(self) -> Keyring:
        """The keys that the service accepts."""
        return Keyring.parse(self.api_keys)

    @property
    def image_limits(self) -> ImageLimits:
        """The limits on one image."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels)

    @property
    def archive_limits(self) -> ArchiveLimits:
        """The limits on one archive."""
        return ArchiveLimits(self.max_archive_bytes, self.max_archive_entries)

    @property
    def queue_limits(self) -> QueueLimits:
        """The limits on jobs and their files."""
        return QueueLimits(
            self.max_queued_jobs,
            self.max_queued_jobs_per_caller,
            self.max_stored_bytes_per_caller,
            self.result_ttl_s,
        )

    @property
    def engines(self) -> EngineOptions:
        """The engines that may run the networks."""
        return EngineOptions(
            self.engine,
            threads=self.compute_threads,
            compiled=self.compile,
            cache=self.data_dir / "engines",
            models=self.models_dir,
        )

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, text: str) -> str:
        Keyring.parse(text)
        return text

    @model_validator(mode="after")
    def _admins_have_keys(self) -> "Settings":
        unknown = words(self.admins) - {key.name for key in self.keyring.keys}
        if unknown:
            raise ValueError(f"admins without a key in api_keys: {', '.join(sorted(unknown))}")
        return self

    @field_validator("broker_url", "blobs_url", "blobs_public_url", mode="before")
    @classmethod
    def _empty_is_none(cls, text: object) -> object:
        return text or None

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        try:
            found = urlsplit(url.get_secret_value())
            is_known = found.scheme in _BROKERS and found.port != 0
        except ValueError:
            is_known = False
        if not is_known:
            raise ValueError("expected amqp://user:password@host:port// or redis://host:port/0")
        if find_spec("celery") is None:
            raise ValueError("Celery is not installed: pip install 'atelier[fleet]'")
        return url

    @model_validator(mode="after")
    def _broker_has_a_server(self) -> "Settings":
        if self.broker_url is not None and self.database.startswith("sqlite"):
            raise ValueError(
                "broker_url is for workers on several hosts, which cannot share SQLite: set "
                "database_url to a PostgreSQL server, or leave broker_url out"
            )
        return self

    @model_validator(mode="after")
    def _limits_are_consistent(self) -> "Settings":
        if not self.max_image_bytes <= self.max_request_bytes <= self.max_upload_bytes:
            raise ValueError(
                "expected max_image_bytes <= max_request_bytes <= max_upload_bytes; they are "
                f"{self.max_image_bytes}, {self.max_request_bytes} and {self.max_upload_bytes}"
            )
        if self.max_request_files > self.max_queue:
            raise ValueError(
                f"expected max_request_files <= max_queue; they are {self.max_request_files} and "
                f"{self.max_queue}"
            )
        if not self.lease_renew_s < self.lease_give_up_s < self.lease_s:
            raise ValueError(
                "expected lease_renew_s < lease_give_up_s < lease_s; they are "
                f"{self.lease_renew_s}, {self.lease_give_up_s} and {self.lease_s}"
            )
        return self


def words(text: str) -> frozenset[str]:
    """Split a text at commas and spaces."""
    return frozenset(text.replace(",", " ").split())
