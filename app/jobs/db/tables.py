"""The tables (SQLAlchemy), and the conversion of a row to a `Job`.

A change here needs a migration in `app.jobs.db.migrations.versions`.
"""

from dataclasses import fields
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
)

from app.jobs.model import Fault, Job, JobKind, JobStatus, Progress

metadata = MetaData()

job = Table(
    "job",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("idempotency_key", String(256)),
    Column("fingerprint", String(64)),
    Column("options", JSON, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("estimate_s", Double),
    Column("created_at", Double, nullable=False),
    Column("run_after", Double, nullable=False),
    Column("claimed_at", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("expired", Boolean, nullable=False, default=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=1),
    Column("lease_owner", String(256)),
    Column("lease_until", Double),
    Column("announce_at", Double, default=0),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("finish_requested", Boolean, nullable=False, default=False),
    Column("eta_s", Double),
    Column("step", Integer),
    Column("steps", Integer),
    Column("size", Integer),
    Column("content_loss", Double),
    Column("style_loss", Double),
    Column("error", JSON(none_as_null=True)),
    Column("preview", String(256)),
    Column("result", String(256)),
    Column("painting", String(256)),
    Column("extras", JSON(none_as_null=True)),
    Column("checkpoints", JSON, nullable=False, default=list),
    Column("stored_bytes", BigInteger),
    Column("kept_since", Double),
    UniqueConstraint("owner", "idempotency_key"),
    Index("job_by_status", "status", "kind"),
    Index("job_by_owner", "owner", "number", "kept_since"),
    Index("job_by_owner_status", "owner", "status", "number"),
    Index("job_by_owner_kind", "owner", "kind", "number"),
    Index("job_by_files", "owner", "stored_bytes", "finished_at"),
    Index("job_by_age", "expired", "kept_since"),
    sqlite_autoincrement=True,  # numbers are never reused, so that cursors stay valid
)

served = Table(
    "served",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("turn", BigInteger, nullable=False),
)
"""The order in which jobs of each owner and kind were last claimed: a higher `turn` is later."""

identity = Table("identity", metadata, Column("id", String(32), primary_key=True))
"""One row: the id of this database."""

service_time = Table(
    "service_time",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seconds", Double, nullable=False),
    Column("noted_at", Double, nullable=False),
)
"""One row: the service time, and the wall-clock time when it was written.

`job.kept_since` is the service time when the end of a job was first seen.
"""

worker = Table(
    "worker",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("device", String(32), nullable=False),
    Column("dtype", String(32), nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("calibration", JSON(none_as_null=True)),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)

rate_limiter = Table(
    "allowance",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("ends_at", Double, nullable=False),
)
"""The counts of the callers' rate limits, if several hosts share the database."""


def to_job(row: Row[Any]) -> Job:
    """Convert a row of the job table to a `Job`."""
    values: dict[str, Any] = {each.name: getattr(row, each.name, None) for each in fields(Job)}
    progress = {each.name: getattr(row, each.name) for each in fields(Progress)}
    values["kind"] = JobKind(row.kind)
    values["status"] = JobStatus(row.status)
    values["progress"] = None if row.step is None else Progress(**progress)
    values["error"] = Fault(**row.error) if row.error else None
    values["checkpoints"] = tuple(row.checkpoints)
    values["extras"] = row.extras or {}
    return Job(**values)
