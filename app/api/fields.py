"""Says which field of a form an error is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import AtelierError


@contextmanager
def about(field: str, *kinds: type[AtelierError]) -> Iterator[None]:
    """Name the field in errors of these kinds that are raised inside."""
    try:
        yield
    except kinds as error:
        error.field = field
        raise
