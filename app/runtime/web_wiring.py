"""Construction of the web process from the settings."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from app.api.auth.concurrency import parser_limit, stream_limit
from app.api.auth.identity import Authenticator, SecretError, kept_secret
from app.api.auth.rate_limit import RateLimiter
from app.api.cached import Cached
from app.api.deps import Services
from app.api.middleware.access import AccessRules
from app.api.middleware.csrf import ANY
from app.api.schemas.common import LimitsOut
from app.api.submissions import Submissions
from app.api.uploads.archives import ArchiveReceiver
from app.api.uploads.body import UploadLimits, UploadTimeouts
from app.api.uploads.receiver import FormReceiver
from app.api.watch import JobWatch
from app.jobs.broker import BrokerPublisher
from app.jobs.db.database import Database
from app.jobs.db.rate_limits import DatabaseStorage
from app.jobs.storage.factory import open_storage
from app.jobs.storage.spool import Spool
from app.jobs.store import JobStore
from app.jobs.worker_registry import WorkerRegistry
from app.metrics import Metrics
from app.runtime.listening import is_loopback
from app.runtime.maintenance import make_publisher
from app.serving.batcher import BatchLimits
from app.serving.decoder import Decoder
from app.serving.loader import ModelLoader
from app.serving.registry import ModelRegistry
from app.serving.reloader import ModelReloader
from app.settings import Settings, words
from app.vision.device import choose_device
from app.vision.specs import SPECS

_PARSERS_PER_CALLER = 4  # all callers share one thread
_WORKERS_MAX_AGE_S = 1.0  # health probes have no rate limit
_WORKERS_TIMEOUT_S = 1.0  # a health probe waits


@dataclass(frozen=True)
class WebProcess:
    """The parts of a web process, made before it serves."""

    settings: Settings
    services: Services
    access_rules: AccessRules
    database: Database
    publisher: BrokerPublisher | None
    job_queued: asyncio.Event
    model_thread: ThreadPoolExecutor

    def close(self) -> None:
        """Release everything; this waits for the broker."""
        self.services.decoder.close()
        self.model_thread.shutdown()
        if self.publisher is not None:
            self.publisher.close()
        self.database.close()


def make_web_process(settings: Settings) -> WebProcess:
    """Open everything that the settings name.

    Raises:
        DeviceError: the host does not have the device.
        DatabaseUrlError, StorageUrlError, SecretError: a setting is not usable.
        DatabaseRevisionError: the job database is newer than this program.
        StoreUnavailableError: the job database does not answer.
    """
    with ExitStack() as undo:
        database = Database(settings.database, settings.store_timeout_s)
        undo.callback(database.close)
        database.migrate()
        access_rules = _make_access_rules(settings, database)
        publisher = make_publisher(settings, database)
        model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        job_queued = asyncio.Event()
        process = WebProcess(
            settings=settings,
            services=_make_services(settings, database, access_rules, model_thread, job_queued.set),
            access_rules=access_rules,
            database=database,
            publisher=publisher,
            job_queued=job_queued,
            model_thread=model_thread,
        )
        undo.pop_all()
    return process


def _make_services(
    settings: Settings,
    database: Database,
    access_rules: AccessRules,
    model_thread: ThreadPoolExecutor,
    on_job_queued: Callable[[], None],
) -> Services:
    metrics = Metrics()
    storage, spool = open_storage(settings.storage), Spool(settings.data_dir)
    worker_registry = WorkerRegistry(database, settings.lease_s)
    store = JobStore(database, settings.queue_limits, worker_registry)
    loader = _make_loader(settings, model_thread, metrics)
    registry = ModelRegistry(SPECS, settings.default_model, loader, metrics)
    return Services(
        authenticator=access_rules.authenticator,
        rate_limiter=access_rules.rate_limiter,
        registry=registry,
        reloader=ModelReloader(registry, loader, metrics),
        uploads=_uploads(settings),
        archives=_archives(settings, spool),
        datasets=settings.datasets,
        decoder=_decoder(settings, metrics),
        metrics=metrics,
        jobs=store,
        storage=storage,
        spool=spool,
        worker_registry=worker_registry,
        recent_workers=Cached(
            worker_registry.workers, max_age_s=_WORKERS_MAX_AGE_S, timeout_s=_WORKERS_TIMEOUT_S
        ),
        submissions=Submissions(
            store,
            storage,
            spool,
            access_rules.rate_limiter,
            min_free_bytes=settings.min_free_bytes,
            on_queued=on_job_queued,
        ),
        watch=JobWatch(store, settings.events_poll_s),
        streams=stream_limit(settings.max_streams_per_caller),
        parsers=parser_limit(_PARSERS_PER_CALLER),
        limits=LimitsOut.model_validate(settings),
        classify_deadline_s=settings.classify_deadline_s,
    )


def _make_loader(
    settings: Settings, model_thread: ThreadPoolExecutor, metrics: Metrics
) -> ModelLoader:
    limits = BatchLimits(settings.max_batch, settings.max_queue, settings.classify_deadline_s)
    device = choose_device(settings.device)
    return ModelLoader(device, model_thread, metrics, settings.engines, limits)


def _make_access_rules(settings: Settings, database: Database) -> AccessRules:
    """Return the rules of access for every request."""
    authenticator = Authenticator(
        settings.keyring,
        words(settings.admins),
        _session_secret(settings, is_shared=database.is_shared),
        settings.session_ttl_s,
        is_local=is_loopback(settings.host),
    )
    rate_limiter = RateLimiter(
        settings.max_requests_per_minute,
        settings.max_submissions_per_minute,
        settings.max_pixels_per_minute,
        DatabaseStorage(database) if database.is_shared else None,
    )
    allowed_hosts = words(settings.allowed_hosts.lower())
    if not allowed_hosts and settings.keyring:
        allowed_hosts = frozenset({ANY})  # without a key, no host name gives access
    open_paths = {"/metrics"} if settings.metrics == "open" else set()
    return AccessRules(
        authenticator,
        rate_limiter,
        allowed_hosts,
        open_paths,
        keyless=RateLimiter(settings.max_keyless_requests_per_minute, None, None),
    )


def _session_secret(settings: Settings, *, is_shared: bool) -> str:
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value()
    if not settings.keyring:
        return ""
    if is_shared:
        raise SecretError(
            "Hosts that share a job database need the same session secret. Set "
            "ATELIER_SESSION_SECRET to the same value, of 32 or more characters, on every host."
        )
    return kept_secret(settings.data_dir)


def _uploads(settings: Settings) -> FormReceiver:
    return FormReceiver(
        UploadLimits(
            max_image_bytes=settings.max_image_bytes,
            max_request_bytes=settings.max_request_bytes,
            max_request_files=settings.max_request_files,
            max_held_bytes=settings.max_upload_bytes,
            timeouts=UploadTimeouts(settings.upload_timeout_s, settings.upload_stall_s),
        )
    )


def _archives(settings: Settings, spool: Spool) -> ArchiveReceiver:
    return ArchiveReceiver(
        spool,
        settings.archive_limits,
        UploadTimeouts(settings.archive_timeout_s, settings.upload_stall_s),
        settings.min_free_bytes,
    )


def _decoder(settings: Settings, metrics: Metrics) -> Decoder:
    return Decoder(
        settings.image_limits,
        metrics,
        threads=settings.decode_threads,
        max_pixels=settings.max_decoding_pixels,
        max_queue=settings.max_queue,
        timeout_s=settings.decode_timeout_s,
    )
