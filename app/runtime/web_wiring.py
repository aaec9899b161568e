"""Builds what the web process consists of, as the settings say."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from app.api.auth.concurrency import follower_limit
from app.api.auth.identity import Identification, SecretError, kept_secret
from app.api.auth.rate_limit import Allowance
from app.api.cached import Recent
from app.api.deps import Services
from app.api.middleware.access import Entry
from app.api.middleware.csrf import ANY
from app.api.schemas.common import LimitsOut
from app.api.submissions import Submissions
from app.api.uploads.archives import Archives
from app.api.uploads.body import ArrivalTimeouts
from app.api.uploads.images import UploadLimits, Uploads
from app.api.watch import JobWatch
from app.evaluation.sources import ArchiveLimits
from app.jobs.broker import Announcer
from app.jobs.db.database import Database
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.storage.base import Blobs
from app.jobs.storage.factory import open_blobs
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore, QueueLimits
from app.jobs.worker_registry import Roster
from app.metrics import Metrics
from app.runtime.listening import is_loopback
from app.runtime.maintenance import make_announcer
from app.serving.batcher import BatchLimits
from app.serving.decoder import Decoder
from app.serving.loader import ModelLoader
from app.serving.registry import ModelRegistry
from app.serving.reloader import ModelReloader
from app.settings import Settings, words
from app.vision.device import choose_device
from app.vision.images import ImageLimits
from app.vision.specs import SPECS

_WORKERS_MAX_AGE_S = 1.0  # health probes are not limited


@dataclass(frozen=True)
class Parts:
    """What the web process consists of before it serves."""

    settings: Settings
    device: torch.device
    metrics: Metrics
    database: Database
    blobs: Blobs
    announcer: Announcer | None
    watch: JobWatch
    entry: Entry


def make_parts(settings: Settings) -> Parts:
    """Open what the settings name.

    Raises:
        DeviceError: the host does not have the device.
        DatabaseUrlError, BlobsUrlError, SecretError: what is named cannot be used.
        DatabaseRevisionError: a newer program has made the job database.
        StoreUnavailableError: the job database does not answer.
    """
    database = Database(settings.database, settings.store_timeout_s)
    database.migrate()
    return Parts(
        settings=settings,
        device=choose_device(settings.device),
        metrics=Metrics(),
        database=database,
        blobs=open_blobs(settings.blobs),
        announcer=make_announcer(settings, database),
        watch=JobWatch(_make_store(settings, database), settings.events_poll_s),
        entry=_make_entry(settings, database),
    )


def make_services(parts: Parts, loader: ModelLoader) -> Services:
    """Make the services that every request can use."""
    settings, database, blobs = parts.settings, parts.database, parts.blobs
    store, entry, metrics = _make_store(settings, database), parts.entry, parts.metrics
    spool = Spool(settings.data_dir)
    roster = Roster(database, settings.lease_s)
    registry = ModelRegistry(SPECS, settings.default_model, loader, metrics)
    return Services(
        identification=entry.identification,
        allowance=entry.allowance,
        registry=registry,
        reloader=ModelReloader(registry, loader, metrics),
        uploads=_uploads(settings),
        archives=_archives(settings, spool),
        datasets=settings.datasets,
        decoder=_decoder(settings, metrics),
        metrics=metrics,
        jobs=store,
        blobs=blobs,
        spool=spool,
        roster=roster,
        recent_workers=Recent(roster.workers, _WORKERS_MAX_AGE_S),
        submissions=Submissions(store, blobs, spool, entry.allowance, settings.min_free_bytes),
        watch=parts.watch,
        followers=follower_limit(settings.max_streams_per_caller),
        limits=LimitsOut.model_validate(settings),
        classify_deadline_s=settings.classify_deadline_s,
    )


def make_loader(parts: Parts, model_thread: ThreadPoolExecutor) -> ModelLoader:
    """Make the loader of models."""
    settings = parts.settings
    limits = BatchLimits(settings.max_batch, settings.max_queue, settings.classify_deadline_s)
    return ModelLoader(parts.device, model_thread, parts.metrics, settings.engines, limits)


def _make_entry(settings: Settings, database: Database) -> Entry:
    """Make the checks that every request has to pass."""
    identification = Identification(
        settings.keyring,
        words(settings.admins),
        _session_secret(settings, is_shared=database.is_shared),
        settings.session_ttl_s,
        is_local=is_loopback(settings.host),
    )
    allowance = Allowance(
        settings.max_requests_per_minute,
        settings.max_submissions_per_minute,
        settings.max_pixels_per_minute,
        DatabaseStorage(database) if database.is_shared else None,
    )
    allowed_hosts = words(settings.allowed_hosts.lower())
    if not allowed_hosts and settings.keyring:
        allowed_hosts = frozenset({ANY})  # who has no key gets nothing under any name
    open_paths = {"/metrics"} if settings.metrics == "open" else set()
    return Entry(
        identification,
        allowance,
        allowed_hosts,
        open_paths,
        keyless=Allowance(settings.max_keyless_requests_per_minute, None, None),
    )


def _session_secret(settings: Settings, *, is_shared: bool) -> str:
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value()
    if not settings.keyring:
        return ""
    if is_shared:
        raise SecretError(
            "several hosts share the job database, and a browser's session has to be good for all "
            "of them: set ATELIER_SESSION_SECRET to the same 32 signs or more on each"
        )
    return kept_secret(settings.data_dir)


def _make_store(settings: Settings, database: Database) -> JobStore:
    """The jobs, as clients see them."""
    limits = QueueLimits(
        settings.max_queued_jobs,
        settings.max_queued_jobs_per_caller,
        settings.max_stored_bytes_per_caller,
        settings.result_ttl_s,
    )
    return JobStore(database, limits, Roster(database, settings.lease_s))


def _uploads(settings: Settings) -> Uploads:
    return Uploads(
        UploadLimits(
            max_image_bytes=settings.max_image_bytes,
            max_request_bytes=settings.max_request_bytes,
            max_request_files=settings.max_request_files,
            max_held_bytes=settings.max_upload_bytes,
            timeouts=ArrivalTimeouts(settings.upload_timeout_s, settings.upload_stall_s),
        )
    )


def _archives(settings: Settings, spool: Spool) -> Archives:
    return Archives(
        spool,
        ArchiveLimits(settings.max_archive_bytes, settings.max_archive_entries),
        ArrivalTimeouts(settings.archive_timeout_s, settings.upload_stall_s),
        settings.min_free_bytes,
    )


def _decoder(settings: Settings, metrics: Metrics) -> Decoder:
    return Decoder(
        ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
        metrics,
        threads=settings.decode_threads,
        max_pixels=settings.max_decoding_pixels,
        max_queue=settings.max_queue,
        timeout_s=settings.decode_timeout_s,
    )
