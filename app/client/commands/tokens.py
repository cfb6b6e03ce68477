"""`hub token create|list|revoke`: API tokens."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client.connection import HubClient
from app.client.operations import access
from app.client.options import run
from app.client.output import moment, out, print_json, print_table
from app.client.paging import walk
from app.domain.principals import Role

app = typer.Typer(no_args_is_help=True, help="API tokens: who may do what.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
SHOWN = 1_000


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who holds it; recorded as the actor of every change made with it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    agent: Annotated[str | None, typer.Option(help="The one agent it acts for; required for the role agent.")] = None,
    expires: Annotated[str | None, typer.Option(help="How long it lives, e.g. 30m, 12h, 90d; for ever if unset.")] = (
        None
    ),
    as_json: Json = False,
) -> None:
    """Make a token. Its secret is shown once, here, and kept nowhere."""
    given: dict[str, Any] = {"tokenName": name, "role": role.name, "agentId": agent}
    if expires is not None:
        given["expiresAt"] = (datetime.now(UTC) + _lifetime(expires)).isoformat()

    async def work(client: HubClient) -> dict[str, Any]:
        return await client.mutate(access.CREATE, given)

    payload = run(ctx, work)
    if as_json:
        print_json({**payload["apiToken"], "secret": payload["secret"]})
        return
    out().print(f"Token {payload['apiToken']['tokenId']} for {escape(name)}, role {role.value}. Its secret:")
    typer.echo(payload["secret"])


@app.command("list")
def list_tokens(ctx: typer.Context, as_json: Json = False) -> None:
    """Show all tokens, newest first, without their secrets."""

    async def work(client: HubClient) -> list[dict[str, Any]]:
        return [token async for token in walk(client, access.TOKENS, SHOWN)]

    tokens = run(ctx, work)
    if as_json:
        print_json(tokens)
        return
    print_table(
        ("id", "name", "role", "agent", "created", "expires", "revoked"),
        (
            (
                token["tokenId"],
                token["tokenName"],
                token["role"],
                token["agentId"],
                moment(token["createdAt"]),
                moment(token["expiresAt"]),
                moment(token["revokedAt"]),
            )
            for token in tokens
        ),
        empty="There are no tokens.",
    )


@app.command()
def revoke(
    ctx: typer.Context, token_id: Annotated[str, typer.Argument(help="The token's id, from `hub token list`.")]
) -> None:
    """End a token; its open connections end within seconds."""

    async def work(client: HubClient) -> dict[str, Any]:
        return await client.mutate(access.REVOKE, {"tokenId": token_id})

    token = run(ctx, work)["apiToken"]
    out().print(f"Revoked {escape(token['tokenName'])} ({token['tokenId']}).")


def _lifetime(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        raise typer.BadParameter("give a number of minutes, hours or days: 30m, 12h, 90d", param_hint="--expires")
    return int(match.group(1)) * UNITS[match.group(2)]
