"""Looks at everything that the service needs, without disturbing one that runs."""

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
    """Take one look after the other; one that fails does not keep the others from being taken."""
    for look in _LOOKS:
        try:
            yield from look(settings)
        except Exception as error:  # what is broken may break a look in any way
            yield problem(f"{look.__name__}: {error!r}", "this was not foreseen; please report it")
