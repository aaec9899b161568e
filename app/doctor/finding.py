"""Results of the checks."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"  # the service works, but not as well as it could
    PROBLEM = "problem"  # something does not work


@dataclass(frozen=True)
class Finding:
    """The state of one part of the installation, and what to do about a problem."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        """Return the finding in one line."""
        line = f"{self.level:<8} {self.what}"
        return " ".join(f"{line.rstrip('.')} - {self.advice}".split("\n")) if self.advice else line


def ok(what: str) -> Finding:
    """Return a finding of something that works."""
    return Finding(Level.OK, what)


def warning(what: str, advice: str) -> Finding:
    """Return a finding of something that could be better."""
    return Finding(Level.WARNING, what, advice)


def problem(what: str, advice: str) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(Level.PROBLEM, what, advice)
