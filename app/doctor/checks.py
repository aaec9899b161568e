"""All checks of an installation. They do not disturb a running service."""

from collections.abc import Callable, Iterator

from app.doctor.database import database
from app.doctor.finding import Finding, problem
from app.doctor.host import address, clock, coherence, device
from app.doctor.models import checkpoints, style
from app.doctor.storage import broker, disk, object_store
from app.settings import Settings

_LOOKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    coherence,
    device,
    checkpoints,
    style,
    disk,
    clock,
    database,
    broker,
    object_store,
    address,
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Run all checks. A check that fails does not prevent the others."""
    for look in _LOOKS:
        try:
            yield from look(settings)
        except Exception as error:  # a broken installation may raise any error
            yield problem(f"{look.__name__}: {error!r}", "this is unexpected; please report it")
