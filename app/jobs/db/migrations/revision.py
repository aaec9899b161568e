"""The schema revision of a database, and the revisions that this program knows."""

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from app.jobs.errors import DatabaseRevisionError

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions, from the oldest to the one of this program."""

LATEST = REVISIONS[-1]
UNVERSIONED = "unversioned"
"""The revision of a database from before revisions were counted."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database, or None if it has no tables yet."""
    names = inspect(connection).get_table_names()
    found = None
    if _version.name in names:
        found = connection.execute(select(_version.c.version_num)).scalar()
    return found or (UNVERSIONED if "job" in names else None)


def check_known(revision: str | None) -> None:
    """Refuse a revision that this program does not know.

    Raises:
        DatabaseRevisionError: the revision is unknown.
    """
    if revision is not None and revision not in (UNVERSIONED, *REVISIONS):
        raise DatabaseRevisionError(
            f"the job database is of revision {revision}, and this program knows those up to "
            f"{LATEST}: run the newer program that the database was used with, or put back the "
            "copy that it kept (atelier.db.before-...)"
        )
