"""Settings, from the environment: every variable that the hub reads. Only the composition roots import this."""

import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOTS_DATA = Path("/var/lib/orchestration-hub")


def default_data_dir() -> Path:
    """The user's data folder; for root one that PostgreSQL's own account can reach, which root's home is not."""
    return ROOTS_DATA if hasattr(os, "geteuid") and os.geteuid() == 0 else user_data_path("orchestration-hub")


class Settings(BaseSettings):
    """Variables named `HUB_…`; the common ones can also be given as options of the commands."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one.")
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded database, the master key and the first admin token.",
    )
    database_url: str | None = Field(
        default=None, description="A PostgreSQL server of version 16 or newer, in place of the embedded one."
    )
    master_key: str | None = Field(
        default=None, description="The master key as 64 hexadecimal digits, in place of the file master.key."
    )
    master_key_previous: str | None = Field(
        default=None,
        description="Beside HUB_MASTER_KEY, another master key that still opens what it sealed: the old one while "
        "`hub key rotate` takes it out of use.",
    )
    pool_size: int = Field(default=10, ge=2, le=200, description="Connections for writes, of each process.")
    read_pool_size: int = Field(default=10, ge=1, le=200, description="Connections for reads, of each process.")
    max_cost: int = Field(
        default=1_000_000, ge=1_000, description="How many values one GraphQL operation may ask for at most."
    )
    trusted_documents: Path | None = Field(
        default=None, description="A JSON file of GraphQL documents by their SHA-256, planned when the hub starts."
    )
    trusted_documents_only: bool = Field(
        default=False, description="Refuse every document that is not in HUB_TRUSTED_DOCUMENTS."
    )
    read_cache_mb: int = Field(
        default=64,
        ge=0,
        le=16_384,
        description="Megabytes of each process in which answers to queries are kept while nothing that they read "
        "changes; 0 keeps none.",
    )
    plain_asgi: bool = Field(
        default=False,
        description="Write to WebSockets message by message, as ASGI has it, instead of frames that are made once for "
        "all; slower.",
    )
    worker_concurrency: int = Field(default=8, ge=1, le=256, description="Executions that one worker runs at once.")
    lease_seconds: float = Field(default=15.0, ge=1.0, le=600.0, description="How long a worker's lease lasts.")
    log_level: str = Field(default="WARNING", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="What is logged.")

    @field_validator("trusted_documents_only")
    @classmethod
    def _has_documents(cls, only: bool, info: ValidationInfo) -> bool:
        if only and info.data.get("trusted_documents") is None:
            raise ValueError("this needs HUB_TRUSTED_DOCUMENTS, the file of what is not refused")
        return only

    @property
    def admin_token_file(self) -> Path:
        """Where the first admin token is kept."""
        return self.data_dir / "admin.token"

    @property
    def master_key_file(self) -> Path:
        """Where the master key is kept unless a variable gives it."""
        return self.data_dir / "master.key"


CLIENT_VARIABLES = frozenset({"HUB_URL", "HUB_TOKEN"})
"""What the client commands take as options; they are no settings of the server."""
VARIABLES = CLIENT_VARIABLES | {f"HUB_{name.upper()}" for name in Settings.model_fields}
"""Every variable that the hub reads."""


def readable_settings() -> tuple[Settings, Mapping[str, str]]:
    """The settings with the default in place of what cannot be used, and the faults by variable."""
    try:
        return Settings(), {}
    except ValidationError as error:
        faults = {str(fault["loc"][0]).lower(): fault["msg"] for fault in error.errors()}
    defaults = {name: Settings.model_fields[name].get_default(call_default_factory=True) for name in faults}
    return Settings(**defaults), {f"HUB_{name.upper()}": text for name, text in faults.items()}
