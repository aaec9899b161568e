"""Every setting of the service, read once from the environment (`ATELIER_*`)."""

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

_BROKERS = ("amqp", "amqps", "redis", "rediss", "sentinel")
_PILLOW_BOMB_PIXELS = Image.MAX_IMAGE_PIXELS or 0


class Settings(BaseSettings):
    """The settings, immutable once read."""

    model_config = SettingsConfigDict(env_prefix="ATELIER_", frozen=True, allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_keys: str = Field(
        "", description="who may use the service: `NAME:DIGEST`, as `python -m app key new` says"
    )
    admins: str = Field(
        "",
        description="names of keys that may use `/admin`; without any keys, everybody may if the "
        "service listens on this host only, and else nobody",
    )
    allow_anonymous: bool = Field(
        False, description="listen without keys on an address that others can reach"
    )
    allowed_hosts: str = Field(
        "",
        description="names under which browsers may find the service, besides `localhost` and "
        "addresses; `*` for all; default: all where there are keys, else none",
    )
    session_ttl_s: int = Field(
        7 * 86_400, gt=0, description="seconds after which a browser is asked for its key again"
    )
    session_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="what signs the sessions of browsers; default: made up, in the data dir",
    )
    metrics: Literal["keys", "open", "off"] = Field(
        "keys", description="who sees `/metrics`: callers with a key, if there are any, or all"
    )
    max_requests_per_minute: int | None = Field(
        None, gt=0, description="requests of one caller in a minute; then 429"
    )
    max_submissions_per_minute: int | None = Field(
        600, gt=0, description="requests of one caller in a minute that ask for a job; then 429"
    )
    max_pixels_per_minute: int | None = Field(
        None, gt=0, description="pixels of the pictures that one caller sends in a minute; then 429"
    )
    data_dir: Path = Field(Path("var"), description="where the service keeps its state")
    models_dir: Path = Field(
        Path(__file__).parents[1] / "models", description="where the checkpoints are"
    )
    device: str = Field(
        "auto", description="`auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:N`"
    )
    engine: Literal["auto", "torch", "openvino", "int8", "exact"] = Field(
        "auto",
        description="what runs the networks; `auto`: the fastest that answers alike, `exact`: "
        "PyTorch in float32, on pictures decoded in full, `int8`: `auto` with networks in INT8 "
        "where there are any, which answer only nearly alike, or `torch`, `openvino`",
    )
    compile: bool = Field(
        False, description="on CUDA, compile networks: a longer start, then faster"
    )
    compute_threads: int = Field(
        default_factory=compute_threads,
        gt=0,
        description="threads in which a model computes on a CPU; default: `OMP_NUM_THREADS`, else "
        "one per core that the process may use",
    )
    default_model: str = Field(
        "catdog", description="model used when a request names none; else the first available"
    )
    max_image_bytes: int = Field(20_000_000, gt=0, description="bytes of one image")
    max_image_pixels: int = Field(
        50_000_000, gt=0, le=_PILLOW_BOMB_PIXELS, description="pixels of one image"
    )
    max_request_files: int = Field(64, gt=0, description="images in one request")
    max_request_bytes: int = Field(100_000_000, gt=0, description="bytes of one request")
    max_upload_bytes: int = Field(
        500_000_000,
        gt=0,
        description="bytes of all requests held in memory at one time; one caller (without keys, "
        "one client address) may hold half, or one request of `ATELIER_MAX_REQUEST_BYTES` if that "
        "is more",
    )
    max_archive_bytes: int = Field(
        2_000_000_000, gt=0, description="bytes of an archive to evaluate on"
    )
    max_archive_entries: int = Field(20_000, gt=0, description="files in such an archive")
    archive_timeout_s: float = Field(
        3600.0, gt=0, description="seconds in which such an archive has to arrive"
    )
    datasets: Path = Field(
        Path("data"), description="folders to evaluate on; training and tests look there too"
    )
    max_decoding_pixels: int = Field(
        200_000_000,
        gt=0,
        description="pixels being decoded at one time, some 20 bytes of memory each",
    )
    upload_timeout_s: float = Field(
        120.0, gt=0, description="seconds in which a request has to arrive"
    )
    head_timeout_s: float = Field(
        20.0, gt=0, description="seconds in which the head of a request has to arrive"
    )
    download_stall_s: float = Field(
        30.0,
        gt=0,
        description="seconds in which a client has to read the next 16 KB of an answer; then its "
        "connection is aborted",
    )
    max_connections: int = Field(
        4096,
        gt=0,
        description="connections at one time, as far as the hard limit on file descriptors allows "
        "(two each); 32 more are taken for health probes. When all are taken, the one that has "
        "been idle for the longest time is closed for a new one",
    )
    max_connections_per_peer: int | None = Field(
        None,
        gt=0,
        description="connections of one peer (an IPv4 address, or an IPv6 /64) at one time; "
        "default: half of all, as a reverse proxy is one peer for all of its clients: lower it "
        "only where clients connect directly, and let a proxy limit its own clients",
    )
    max_streams_per_caller: int = Field(
        100,
        gt=0,
        description="event streams and requests with `Prefer: wait` of one caller at one time; "
        "then 429; without keys, of one client address",
    )
    max_keyless_requests_per_minute: int = Field(
        600,
        gt=0,
        description="where there are keys, requests without a valid one from one client address "
        "in a minute, but for the page's files and health probes; then 429. Sign-ins are counted "
        "apart from the others, with the same limit. Behind a proxy all clients share this, unless "
        "`FORWARDED_ALLOW_IPS` names the proxy, whose `X-Forwarded-For` then counts; requests with "
        "a key never count",
    )
    upload_stall_s: float = Field(
        10.0, gt=0, description="seconds without a byte after which an upload is given up"
    )
    decode_timeout_s: float = Field(
        60.0, gt=0, description="when all decoding threads work longer, the web process restarts"
    )
    decode_threads: int = Field(
        default_factory=available_cores,
        gt=0,
        description="threads that decode images of one caller, and one more for others; "
        "default: one per core",
    )
    max_evaluation_s: float = Field(
        3600.0, gt=0, description="seconds after which an evaluation reports on what it has seen"
    )
    max_batch: int = Field(32, gt=0, le=1024, description="images in one forward pass")
    max_queue: int = Field(
        256,
        gt=0,
        description="images waiting for a model, or for decoding; then 503, first for the caller "
        "with most of them",
    )
    classify_deadline_s: float = Field(
        10.0, gt=0, description="seconds in which images that have arrived are classified; then 503"
    )
    workers: int = Field(1, ge=0, description="processes that paint; 0 for none on this host")
    database_url: SecretStr | None = Field(
        None, description="job database as SQLAlchemy names it; default: SQLite in the data dir"
    )
    broker_url: SecretStr | None = Field(
        None,
        description="where Celery finds RabbitMQ (`amqp://`) or Redis (`redis://`), on a fleet; "
        "default: workers look into the database",
    )
    broker_timeout_s: float = Field(5.0, gt=0, description="how long to wait for the broker")
    job_time_limit_s: float = Field(
        86_400.0, gt=0, description="a fleet's worker that works on one job for longer is killed"
    )
    blobs_url: str | None = Field(
        None,
        description="object store for the files of jobs, such as `s3://bucket/folder`, with "
        "credentials as its own tools take them; default: the data dir",
    )
    blobs_timeout_s: float = Field(
        5.0, gt=0, description="seconds to wait for the object store's answer"
    )
    blobs_redirect: bool = Field(
        True, description="let clients fetch paintings from the object store, by a signed link"
    )
    blobs_public_url: str | None = Field(
        None, description="endpoint under which clients reach the object store; default: as we do"
    )
    max_size: int = Field(2048, ge=64, description="longest side of a painting, px")
    worker_memory_bytes: int | None = Field(
        None, gt=0, description="memory of a worker; default: all that its device has"
    )
    vgg19_weights: Path | None = Field(
        None, description="a state_dict of VGG19 to paint with; default: the original weights"
    )
    vgg19_convention: Literal["caffe", "torchvision"] = Field(
        "torchvision", description="the input that those weights expect"
    )
    max_queued_jobs: int = Field(100, gt=0, description="jobs that may wait; then 429")
    max_queued_jobs_per_caller: int = Field(20, gt=0, description="jobs of one caller that wait")
    max_finished_jobs_per_caller: int = Field(
        10_000, gt=0, description="finished jobs of one caller that are known; the oldest go first"
    )
    max_stored_bytes_per_caller: int = Field(
        10_000_000_000, gt=0, description="bytes of the files of one caller's jobs; then 429"
    )
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, description="free disk space below which no job is accepted"
    )
    result_ttl_s: float = Field(
        7 * 86_400.0,
        gt=0,
        description="seconds of service for which the files of a finished job are kept",
    )
    job_ttl_s: float = Field(
        30 * 86_400.0, gt=0, description="seconds of service for which a finished job is known"
    )
    orphan_ttl_s: float = Field(
        86_400.0, gt=0, description="age in seconds at which files of no job are removed"
    )
    report_s: float = Field(1.0, gt=0, description="seconds between two previews, at least")
    checkpoint_s: float = Field(10.0, gt=0, description="seconds between two checkpoints")
    result_wait_s: float = Field(
        600.0,
        gt=0,
        description="seconds that a worker keeps a result which the object store does not take; "
        "then the job fails",
    )
    lease_s: float = Field(30.0, gt=0, description="seconds without a sign of life of a worker")
    lease_renew_s: float = Field(5.0, gt=0, description="seconds between signs of life")
    lease_give_up_s: float = Field(
        20.0, gt=0, description="a worker that cannot renew its lease for so long ends itself"
    )
    stall_s: float = Field(
        300.0, gt=0, description="a worker whose step takes longer (or 20 usual steps) is ended"
    )
    cancel_s: float = Field(
        10.0, gt=0, description="a worker that does not obey a cancel for so long is ended"
    )
    retry_s: float = Field(
        10.0, gt=0, description="seconds until a job is tried again after an error; then twice that"
    )
    restart_s: float = Field(
        0.5, gt=0, description="seconds until a process that died is started again; then twice that"
    )
    longest_restart_s: float = Field(30.0, gt=0, description="and at most so many")
    worker_poll_s: float = Field(0.1, gt=0, description="how often an idle worker looks for work")
    events_poll_s: float = Field(0.25, gt=0, description="how often event streams look for news")
    maintenance_s: float = Field(
        10.0, gt=0, description="how often lapsed and old jobs are seen to"
    )
    store_timeout_s: float = Field(5.0, gt=0, description="how long to wait for the database")
    shutdown_grace_s: float = Field(
        20.0, gt=0, description="seconds that running requests have when the service stops"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least important log lines shown"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="log lines for people or for machines"
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
    def _limits_fit_together(self) -> "Settings":
        if not self.max_image_bytes <= self.max_request_bytes <= self.max_upload_bytes:
            raise ValueError("expected max_image_bytes <= max_request_bytes <= max_upload_bytes")
        if self.max_request_files > self.max_queue:
            raise ValueError("expected max_request_files <= max_queue")
        if not self.lease_renew_s < self.lease_give_up_s < self.lease_s:
            raise ValueError("expected lease_renew_s < lease_give_up_s < lease_s")
        return self


def words(text: str) -> frozenset[str]:
    """Split what is separated by commas or spaces."""
    return frozenset(text.replace(",", " ").split())
