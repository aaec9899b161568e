"""The base class of Atelier's own errors."""


class AtelierError(Exception):
    """Base of every error that Atelier raises on purpose; `str(error)` may be shown to users."""

    field: str | None = None
    """What of the request it is about, such as `content`, where that is one thing."""
