"""The command `hub`: commands that run a part of the hub, and clients of its GraphQL API.

The server's commands replace this process by `python -m app.main`, so that the clients, of which an agent's process
is one that lives all day, do not load the server's libraries.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError

from app.agent.command import app as agent_app
from app.client.commands.gates import app as gate_app
from app.client.commands.query import query
from app.client.commands.tokens import app as token_app
from app.client.commands.workflows import app as workflow_app
from app.client.options import ClientOptions
from app.demo.command import demo
from app.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")

app = typer.Typer(
    name="hub",
    help="The control plane for teams of AI agents. `hub up` starts everything on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(workflow_app, name="workflow")
app.add_typer(gate_app, name="gate")
app.add_typer(agent_app, name="agent")
app.add_typer(token_app, name="token")
app.command()(demo)
app.command()(query)

Host = Annotated[str | None, typer.Option(envvar="HUB_HOST", help="Address to listen on. (default: 127.0.0.1)")]
Port = Annotated[
    int | None, typer.Option(envvar="HUB_PORT", min=0, max=65535, help="Port; 0 takes a free one. (default: 8000)")
]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="HUB_DATA_DIR", help="Folder of the embedded database, master.key and admin.token."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(envvar="HUB_DATABASE_URL", help="A PostgreSQL server, 16 or newer, in place of the embedded one."),
]


@app.callback()
def connection(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="HUB_URL", help="The hub to talk to. (default: http://HOST:PORT)")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="HUB_TOKEN", help="Bearer token. (default: admin.token of the data folder)"),
    ] = None,
) -> None:
    """The control plane for teams of AI agents. `hub up` starts everything on this machine."""
    if token == "" or os.environ.get("HUB_TOKEN") == "":
        raise typer.BadParameter("the token is empty; unset HUB_TOKEN to act as the local administrator")
    settings = _settings()
    # the administrator's token of this machine is sent to no other
    local = url is None or urlsplit(url).hostname in LOOPBACK
    ctx.obj = ClientOptions(
        url=url or f"http://{settings.host}:{settings.port}",
        token=token or (_admin_token(settings) if local else None),
    )


@app.command()
def up(host: Host = None, port: Port = None, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Run everything in one process: database, migrations, API and engine worker."""
    _become_server("up", host, port, data_dir, database_url)


@app.command()
def serve(host: Host = None, port: Port = None, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Run the API only; any number of them share one database. Run `hub migrate` first."""
    _become_server("serve", host, port, data_dir, database_url)


@app.command()
def worker(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Run an engine worker only; any number of them share one database. Run `hub migrate` first."""
    _become_server("worker", None, None, data_dir, database_url)


@app.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to this version of the hub; safe to run again, and by several at once."""
    _become_server("migrate", None, None, data_dir, database_url)


def _become_server(
    command: str, host: str | None, port: int | None, data_dir: Path | None, database_url: str | None
) -> NoReturn:
    given = {"HUB_HOST": host, "HUB_PORT": port, "HUB_DATA_DIR": data_dir, "HUB_DATABASE_URL": database_url}
    environment = os.environ | {name: str(value) for name, value in given.items() if value is not None}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "app.main", command], environment)  # noqa: S606


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"HUB_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        typer.echo(f"The environment cannot be used: {faults}", err=True)
        raise typer.Exit(2) from None


def _admin_token(settings: Settings) -> str | None:
    try:
        return settings.admin_token_file.read_text().strip()
    except OSError:
        return None


def main() -> None:
    """The entry point of the command `hub`."""
    app()
