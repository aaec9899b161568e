"""The tables, as SQLAlchemy has them, and how a row becomes a `Job`.

A change here needs a step in `app.jobs.db.migrations.versions` that makes it.
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
    sqlite_autoincrement=True,  # a number is never used again, so that cursors stay valid
)

served = Table(
    "served",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("turn", BigInteger, nullable=False),
)
"""When a job of an owner and a kind was last claimed: the higher `turn`, the later."""

identity = Table("identity", metadata, Column("id", String(32), primary_key=True))
"""One row: which database this is."""

service_time = Table(
    "service_time",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seconds", Double, nullable=False),
    Column("noted_at", Double, nullable=False),
)
"""One row: for how long the service has run, and the wall clock's time when that was written.

`job.kept_since` is in service time: when the end of a job was first seen.
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
"""What callers have used of what they may ask for in a minute, where several hosts count it."""


def to_job(row: Row[Any]) -> Job:
    """Build the record from a row of the job table."""
    values: dict[str, Any] = {each.name: getattr(row, each.name, None) for each in fields(Job)}
    progress = {each.name: getattr(row, each.name) for each in fields(Progress)}
    values["kind"] = JobKind(row.kind)
    values["status"] = JobStatus(row.status)
    values["progress"] = None if row.step is None else Progress(**progress)
    values["error"] = Fault(**row.error) if row.error else None
    values["checkpoints"] = tuple(row.checkpoints)
    values["extras"] = row.extras or {}
    return Job(**values)
