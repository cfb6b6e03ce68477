"""An installation to be examined, and a look at what the examination says of one thing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.doctor.findings import Finding, Severity
from app.doctor.installation import Installation
from app.security.tokens import new_secret

SDL = Path(__file__).resolve().parents[2] / "graphql_schema" / "schema.graphql"
MASTER_KEY = bytes(range(32))
"""That of the sealer of tests.services.makers."""
NOWHERE = "http://127.0.0.1:9"


def installation(folder: Path, **changes: Any) -> Installation:
    """A healthy installation in a folder that was made for it, but that no hub answers."""
    found = Installation(
        data_dir=folder,
        master_key_file=folder / "master.key",
        admin_token_file=folder / "admin.token",
        hub_url=NOWHERE,
        sdl=SDL.read_text(),
        known_variables=frozenset({"HUB_PORT", "HUB_URL"}),
    )
    return replace(found, **changes)


def furnish(folder: Path) -> Path:
    """Make the folder's secrets as the hub makes them."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, text in (("master.key", MASTER_KEY.hex()), ("admin.token", new_secret())):
        path = folder / name
        path.touch(0o600)
        path.write_text(text + "\n")
    return folder


def named(findings: Sequence[Finding], name: str) -> Finding:
    """The one finding of this name."""
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def is_fine(finding: Finding) -> bool:
    """Nothing is the matter, and nothing is to be done."""
    return finding.severity is Severity.OK and finding.remedy == ""
