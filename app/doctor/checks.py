"""All checks of an installation. They do not disturb a running service."""

from collections.abc import Callable, Iterator

from app.doctor.database import database
from app.doctor.finding import Finding, problem
from app.doctor.host import address, clock, consistency, device
from app.doctor.models import checkpoints, style
from app.doctor.storage import broker, disk, object_store
from app.settings import Settings

_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    consistency,
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


def run_checks(settings: Settings) -> Iterator[Finding]:
    """Run all checks. A check that fails does not prevent the others."""
    for check in _CHECKS:
        try:
            yield from check(settings)
        except Exception as error:  # a broken installation may raise any error
            yield problem(f"{check.__name__}: {error!r}", "this is unexpected; please report it")
