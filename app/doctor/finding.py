"""What a look at one thing finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # the service runs, but not as it could
    PROBLEM = "problem"  # something does not work, or will not


@dataclass(frozen=True)
class Finding:
    """What there is, and what to do about it (nothing, if all is well)."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        """Show it in one line."""
        line = f"{self.level:<8} {self.what}"
        return " ".join(f"{line} - {self.advice}".split("\n")) if self.advice else line


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, what)


def warning(what: str, advice: str) -> Finding:
    """It could be better."""
    return Finding(Level.WARNING, what, advice)


def problem(what: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(Level.PROBLEM, what, advice)
