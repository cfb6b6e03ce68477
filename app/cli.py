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
from app.client.commands.agents import app as agents_app
from app.client.commands.attention import attention
from app.client.commands.decisions import app as decision_app
from app.client.commands.documents import app as documents_app
from app.client.commands.gates import app as gate_app
from app.client.commands.query import query
from app.client.commands.schedules import app as schedule_app
from app.client.commands.schema import schema
from app.client.commands.tasks import app as tasks_app
from app.client.commands.templates import app as template_app
from app.client.commands.tokens import app as token_app
from app.client.commands.workflows import app as workflow_app
from app.client.options import ClientOptions, OptionsMaker
from app.demo.command import demo
from app.keys import key_app
from app.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXIT_CODES = (
    "Exit codes: 0 done; 1 refused or failed; 2 wrong use; 3 no hub answers; 130 interrupted. "
    "--json prints data alone on standard output; errors and notes go to standard error."
)


def make_options(url: str | None, token: str | None) -> ClientOptions:
    """Where the hub is and which token to show it, from what was given and from the settings.

    Raises `ValidationError` when the environment has settings that cannot be used.
    """
    settings = Settings()
    # the administrator's token of this machine is sent to no other
    local = url is None or urlsplit(url).hostname in LOOPBACK
    return ClientOptions(
        url=url or f"http://{settings.host}:{settings.port}",
        token=token or (_admin_token(settings) if local else None),
    )


app = typer.Typer(
    name="hub",
    help="The control plane for teams of AI agents. `hub up` starts everything on this machine.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"obj": OptionsMaker(make_options)},
)
for name, group in {
    "workflow": workflow_app,
    "template": template_app,
    "schedule": schedule_app,
    "tasks": tasks_app,
    "decision": decision_app,
    "gate": gate_app,
    "agents": agents_app,
    "agent": agent_app,
    "token": token_app,
    "documents": documents_app,
}.items():
    app.add_typer(group, name=name)
app.command()(attention)
app.command()(demo)
app.command()(query)
app.command()(schema)

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
    if ctx.invoked_subcommand == "doctor":
        # it tells of faulty settings itself
        return
    if token == "" or os.environ.get("HUB_TOKEN") == "":
        raise typer.BadParameter("the token is empty; unset HUB_TOKEN to act as the local administrator")
    try:
        ctx.obj = make_options(url, token)
    except ValidationError as error:
        faults = "; ".join(f"HUB_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        typer.echo(f"The environment cannot be used: {faults}. `hub doctor` tells more.", err=True)
        raise typer.Exit(2) from None


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


@app.command()
def doctor(
    ctx: typer.Context,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Tell what is wrong with this installation and how to mend it; exit code 1 when something is. Changes nothing."""
    given = ctx.find_root().params
    for name in ("url", "token"):
        if given[name] is not None:
            os.environ[f"HUB_{name.upper()}"] = given[name]
    _become_server("doctor", None, None, data_dir, database_url, *(["--json"] if as_json else []))


def _become_server(
    command: str, host: str | None, port: int | None, data_dir: Path | None, database_url: str | None, *arguments: str
) -> NoReturn:
    given = {"HUB_HOST": host, "HUB_PORT": port, "HUB_DATA_DIR": data_dir, "HUB_DATABASE_URL": database_url}
    environment = os.environ | {name: str(value) for name, value in given.items() if value is not None}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "app.main", command, *arguments], environment)  # noqa: S606


def _admin_token(settings: Settings) -> str | None:
    try:
        return settings.admin_token_file.read_text().strip()
    except OSError:
        return None


app.add_typer(key_app(_become_server), name="key")


def main() -> None:
    """The entry point of the command `hub`."""
    app()
