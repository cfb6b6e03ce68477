"""The commands `hub key …`, which the server's process carries out."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(envvar="HUB_DATA_DIR", help="Folder of the embedded database, master.key and admin.token."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(envvar="HUB_DATABASE_URL", help="A PostgreSQL server, 16 or newer, in place of the embedded one."),
]
BecomeServer = Callable[[str, str | None, int | None, Path | None, str | None], NoReturn]


def key_app(become_server: BecomeServer) -> typer.Typer:
    """The group of commands; `become_server` replaces this process by the server's."""
    app = typer.Typer(help="The master key, with which decisions are sealed.", no_args_is_help=True)

    @app.command()
    def rotate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
        """Take the master key out of use for a new one, while the hub runs on. Interrupted, it goes on when run again.

        With the key in HUB_MASTER_KEY it tells how: both keys are given, then this command is run.
        """
        become_server("rotate-key", None, None, data_dir, database_url)

    @app.command("show-id")
    def show_id(data_dir: DataDir = None) -> None:
        """Print the id of the master key in use, which tells keys apart; never the key itself."""
        become_server("key-id", None, None, data_dir, None)

    return app
