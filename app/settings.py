"""Settings, from the environment: every variable that the hub reads. Only the composition roots import this."""

import os
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
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
    pool_size: int = Field(default=10, ge=2, le=200, description="Connections for writes, of each process.")
    read_pool_size: int = Field(default=10, ge=1, le=200, description="Connections for reads, of each process.")
    worker_concurrency: int = Field(default=8, ge=1, le=256, description="Executions that one worker runs at once.")
    lease_seconds: float = Field(default=15.0, ge=1.0, le=600.0, description="How long a worker's lease lasts.")
    log_level: str = Field(default="WARNING", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="What is logged.")

    @property
    def admin_token_file(self) -> Path:
        """Where the first admin token is kept."""
        return self.data_dir / "admin.token"

    @property
    def master_key_file(self) -> Path:
        """Where the master key is kept unless a variable gives it."""
        return self.data_dir / "master.key"
