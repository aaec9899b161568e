"""In which order waiting jobs are claimed. One definition, for workers and for those who wait."""

from sqlalchemy import ColumnElement, Select, Subquery, func, select

from app.jobs.changes import IS_QUEUED
from app.jobs.tables import job


def in_turn(*conditions: ColumnElement[bool]) -> Select[tuple[int]]:
    """Numbers of the queued jobs that meet the conditions, in the order in which they come up.

    Higher priorities first. Within one, the owners take turns, each kind of an owner's jobs on its
    own: an evaluation does not wait behind the twenty paintings that somebody asked for before.
    Who was served least recently is next.
    """
    served = _last_served()
    waiting = (
        select(
            job.c.number,
            job.c.priority,
            served.c.at,
            func.row_number()
            .over(
                partition_by=(job.c.owner, job.c.kind),
                order_by=(job.c.priority.desc(), job.c.number),
            )
            .label("round"),
        )
        .join(served, (served.c.owner == job.c.owner) & (served.c.kind == job.c.kind))
        .where(IS_QUEUED, *conditions)
        .subquery()
    )
    return select(waiting.c.number).order_by(
        waiting.c.priority.desc(),
        waiting.c.round,
        waiting.c.at.asc().nulls_first(),
        waiting.c.number,
    )


def _last_served() -> Subquery:
    return (
        select(job.c.owner, job.c.kind, func.max(job.c.claimed_at).label("at"))
        .where(job.c.owner.in_(select(job.c.owner).where(IS_QUEUED)))
        .group_by(job.c.owner, job.c.kind)
        .subquery()
    )
