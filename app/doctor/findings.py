"""What a check says: how things are, and what to do where they are not as they should be."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. Only problems make the examination fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"
    """Not checked, since something else must be mended first."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; `remedy` says what to do, and is empty where nothing is to be done."""

    name: str
    severity: Severity
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {key: str(value) for key, value in asdict(self).items()}


def fine(name: str, message: str) -> Finding:
    """All is well."""
    return Finding(name, Severity.OK, message)


def warning(name: str, message: str, remedy: str) -> Finding:
    """The hub works, and something will go wrong, or goes worse than it could."""
    return Finding(name, Severity.WARNING, message, remedy)


def problem(name: str, message: str, remedy: str) -> Finding:
    """The hub, or a part of it, does not work or loses something."""
    return Finding(name, Severity.PROBLEM, message, remedy)


def skipped(name: str, reason: str) -> Finding:
    """It could not be checked."""
    return Finding(name, Severity.SKIPPED, f"not checked: {reason}")
