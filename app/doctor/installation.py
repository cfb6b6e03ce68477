"""What the checks are told of the installation; made by app.main, the only one that reads settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


def machine_time() -> datetime:
    """The time by this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Installation:
    """This machine's hub as its settings describe it.

    `setting_faults` are faults by variable; the settings here have the default in place of a faulty one.
    """

    data_dir: Path
    master_key_file: Path
    admin_token_file: Path
    hub_url: str
    sdl: str
    """The schema that this installation's clients were written for."""
    database_url: str | None = None
    master_key: str | None = field(default=None, repr=False)
    master_key_previous: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    connections: int = 20
    """How many connections one process of the hub may take."""
    setting_faults: Mapping[str, str] = field(default_factory=dict)
    given_variables: frozenset[str] = frozenset()
    known_variables: frozenset[str] = frozenset()
    clock: Callable[[], datetime] = machine_time

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the embedded one, in the data folder."""
        return self.database_url is None
