"""`python -m app.agent`: the agent alone, without the server's code, as for a machine that only works for a hub."""

from typing import Annotated

import typer

from app.agent.command import app
from app.client.options import ClientOptions


@app.callback()
def connect(
    ctx: typer.Context,
    url: Annotated[str, typer.Option(envvar="HUB_URL", help="Where the hub is.")] = "http://127.0.0.1:8000",
    token: Annotated[str | None, typer.Option(envvar="HUB_TOKEN", help="The bearer token to show it.")] = None,
) -> None:
    """Agents: processes that claim tasks and run a command for each."""
    ctx.obj = ClientOptions(url, token)


if __name__ == "__main__":
    app()
