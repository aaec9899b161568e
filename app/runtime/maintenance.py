"""Construction of the maintenance and publishing tasks that several processes run."""

from app.jobs.broker import Broker, BrokerPublisher
from app.jobs.db.database import Database
from app.jobs.maintenance import Maintenance, Retention
from app.jobs.queue import JobQueue
from app.jobs.storage.base import FileStorage
from app.jobs.storage.spool import Spool
from app.settings import Settings


def make_maintenance(settings: Settings, database: Database, storage: FileStorage) -> Maintenance:
    """Return the maintenance task."""
    return Maintenance(
        database,
        JobQueue(database, settings.lease_s, settings.retry_s),
        storage,
        Spool(settings.data_dir),
        Retention(
            settings.result_ttl_s,
            settings.job_ttl_s,
            settings.orphan_ttl_s,
            settings.max_finished_jobs_per_caller,
        ),
    )


def make_publisher(settings: Settings, database: Database) -> BrokerPublisher | None:
    """Return the publisher of waiting jobs, if there is a broker."""
    broker = make_broker(settings)
    return BrokerPublisher(database, broker, settings.maintenance_s) if broker else None


def make_broker(settings: Settings) -> Broker | None:
    """Return the broker that the settings name, if any. It connects later."""
    if settings.broker_url is None:
        return None
    from app.runtime.celery_broker import BrokerOptions, CeleryBroker  # noqa: PLC0415 - a single host lacks Celery

    return CeleryBroker(BrokerOptions.of(settings))
