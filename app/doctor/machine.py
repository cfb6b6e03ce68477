"""Checks of what the hub stands on: Python and the settings."""

import difflib
import sys

from app.doctor.findings import Finding, fine, problem, warning
from app.doctor.installation import Installation

OLDEST_PYTHON = (3, 11)


def python_version(_installation: Installation) -> Finding:
    """Python is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return problem(
            "Python", f"This is Python {found}.", f"Install Python {oldest} or newer and run `make up` anew."
        )
    return fine("Python", f"Python {found}.")


def settings_valid(installation: Installation) -> Finding:
    """Every variable that is set can be used. Values are not told: some are secrets."""
    faults = installation.setting_faults
    if faults:
        return problem(
            "settings",
            " ".join(f"{name} cannot be used: {fault}." for name, fault in sorted(faults.items())),
            f"Correct or unset {', '.join(sorted(faults))}; until then no command of the hub runs.",
        )
    return fine("settings", "All HUB_ variables that are set can be used.")


def settings_known(installation: Installation) -> Finding:
    """No variable is set that the hub would not read."""
    unknown = sorted(installation.given_variables - installation.known_variables)
    if not unknown:
        return fine("unknown settings", "No HUB_ variable is set that the hub does not read.")
    return warning(
        "unknown settings",
        f"The hub reads no variable {', '.join(unknown)}.",
        " ".join(_advice(name, installation.known_variables) for name in unknown),
    )


def _advice(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Rename {name} to {close[0]}, if that is what was meant." if close else f"Unset {name}."


CHECKS = (python_version, settings_valid, settings_known)
