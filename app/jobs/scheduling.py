"""Fair scheduling: the order in which waiting jobs are claimed, for workers and for clients."""

from sqlalchemy import ColumnElement, Connection, Select, func, select

from app.jobs.db.database import Database
from app.jobs.db.tables import job, served
from app.jobs.model import Job
from app.jobs.transitions import IS_QUEUED


def in_claim_order(*conditions: ColumnElement[bool]) -> Select[tuple[int]]:
    """Return the numbers of the queued jobs that meet the conditions, the next one first.

    Higher priorities come first. Within a priority, owners take turns, separately for each kind of
    job: an evaluation does not wait for its owner's twenty paintings. The owner who was served
    least recently is next.
    """
    waiting = (
        select(
            job.c.number,
            job.c.priority,
            served.c.turn,
            func.row_number()
            .over(
                partition_by=(job.c.owner, job.c.kind),
                order_by=(job.c.priority.desc(), job.c.number),
            )
            .label("round"),
        )
        .outerjoin(served, (served.c.owner == job.c.owner) & (served.c.kind == job.c.kind))
        .where(IS_QUEUED, *conditions)
        .subquery()
    )
    return select(waiting.c.number).order_by(
        waiting.c.priority.desc(),
        waiting.c.round,
        waiting.c.turn.asc().nulls_first(),
        waiting.c.number,
    )


def note_served(database: Database, connection: Connection, claimed: Job) -> None:
    """Move the owner of a claimed job behind all others. Turns are counted and need no clock."""
    last = select(func.coalesce(func.max(served.c.turn), 0)).scalar_subquery()
    new = database.insert(served).values(owner=claimed.owner, kind=claimed.kind, turn=last + 1)
    keys = [served.c.owner, served.c.kind]
    connection.execute(
        new.on_conflict_do_update(index_elements=keys, set_={"turn": new.excluded.turn})
    )
