"""The broker and the object store of a fleet."""

from collections.abc import Iterator

from app.doctor.finding import Finding, ok, problem
from app.errors import AtelierError
from app.jobs.storage.factory import open_blobs
from app.runtime.maintenance import make_broker
from app.settings import Settings

_FOLDER = "doctor"  # which nobody writes to
_LONGEST_REASON = 500


def broker(settings: Settings) -> Iterator[Finding]:
    """Look whether it answers, where there is one."""
    try:
        found = make_broker(settings)
        if found is not None:
            yield ok(f"broker: answers; {found.waiting()} jobs wait there")
            found.close()
    except AtelierError as error:
        yield problem(f"broker: {error}", "see ATELIER_BROKER_URL")


def object_store(settings: Settings) -> Iterator[Finding]:
    """Look whether it can be read, where there is one."""
    if settings.blobs_url is None:
        return
    try:
        open_blobs(settings.blobs).older_than(_FOLDER, 0)
    except (OSError, AtelierError) as error:
        said = " ".join(str(error.__cause__ or error).split())[:_LONGEST_REASON]
        yield problem(f"object store: {said}", "see ATELIER_BLOBS_URL, and the AWS_* variables")
    else:
        yield ok(f"object store {settings.blobs_url}: answers")
