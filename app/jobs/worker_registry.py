"""The worker registry: a table in which workers register and send heartbeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from app.jobs.db.database import Database
from app.jobs.db.tables import worker

_FORGET_AFTER_S = 86_400.0


@dataclass(frozen=True)
class RegisteredWorker:
    """A worker process. `calibration` has the fields of `style.estimate.Calibration`."""

    name: str
    device: str
    dtype: str
    memory_bytes: int
    calibration: Mapping[str, Any] | None
    is_alive: bool = True


class WorkerRegistry:
    """The workers that are alive. All methods raise `StoreUnavailableError`, as the store's do."""

    def __init__(self, database: Database, lease_s: float) -> None:
        """Use a database. A worker without a heartbeat for `lease_s` counts as dead."""
        self._database = database
        self._lease_s = lease_s

    def join(self, new: RegisteredWorker) -> None:
        """Register a worker, and remove those that ended long ago."""
        now = self._database.now()
        values = {
            "name": new.name,
            "device": new.device,
            "dtype": new.dtype,
            "memory_bytes": new.memory_bytes,
            "calibration": new.calibration,
            "started_at": now,
            "seen_at": now,
        }
        newest = select(func.max(worker.c.seen_at)).scalar_subquery()  # by the clock of that time
        is_old = (worker.c.seen_at < now - _FORGET_AFTER_S) & (
            worker.c.seen_at < newest - _FORGET_AFTER_S
        )
        with self._database.write() as connection:
            connection.execute(delete(worker).where(is_old))
            connection.execute(insert(worker).values(values))

    def beat(self, name: str) -> None:
        """Write the heartbeat of a worker."""
        self._set(name, seen_at=self._database.now())

    def calibrate(self, name: str, calibration: Mapping[str, Any]) -> None:
        """Store a worker's calibration."""
        self._set(name, calibration=dict(calibration))

    def leave(self, name: str) -> None:
        """Mark a worker as ended; its calibration is kept."""
        self._set(name, seen_at=self._database.now() - self._lease_s)

    def workers(self) -> list[RegisteredWorker]:
        """Return all workers, the most recently seen first."""
        is_alive = self._is_alive().label("is_alive")
        query = select(worker, is_alive).order_by(worker.c.seen_at.desc())
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            RegisteredWorker(
                row.name, row.device, row.dtype, row.memory_bytes, row.calibration, row.is_alive
            )
            for row in rows
        ]

    def count(self) -> int:
        """Return the number of live workers."""
        query = select(func.count()).where(self._is_alive())
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def _is_alive(self) -> ColumnElement[bool]:
        ago_s = self._database.now() - worker.c.seen_at
        return (ago_s < self._lease_s) & (ago_s > -self._lease_s)  # the clock may have been set

    def _set(self, name: str, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(worker).where(worker.c.name == name).values(**values))
