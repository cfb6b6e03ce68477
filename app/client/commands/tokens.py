"""`hub token create|list|revoke`: API tokens."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client import completing
from app.client.arguments import After, Limit, Token
from app.client.command import Answer, Change, Work, changes, changes_unrehearsed, shows, told
from app.client.connection import HubClient
from app.client.finding import TOKEN, find_id
from app.client.listing import listing
from app.client.operations import access
from app.client.output import moment, out
from app.client.paging import search
from app.domain.principals import Role

app = typer.Typer(no_args_is_help=True, help="API tokens: who may do what.")

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@app.command()
@changes_unrehearsed
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who holds it; recorded as the actor of every change made with it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    agent: Annotated[
        str | None,
        typer.Option(help="The one agent it acts for; required for the role agent.", autocompletion=completing.agents),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="How long it lives, e.g. 30m, 12h, 90d; for ever if unset.")] = (
        None
    ),
) -> Change:
    """Make a token. Its secret is shown once, here, and kept nowhere."""
    values: dict[str, Any] = {"tokenName": name, "role": role.name, "agentId": agent}
    if expires is not None:
        values["expiresAt"] = (datetime.now(UTC) + _lifetime(expires)).isoformat()

    async def given(_client: HubClient) -> Mapping[str, Any]:
        return values

    async def then(_client: HubClient, payload: Mapping[str, Any]) -> Answer:
        token, secret = payload["apiToken"], payload["secret"]

        def show() -> None:
            out().print(f"Token {token['tokenId']} for {escape(name)}, role {role.value}. Its secret:")
            typer.echo(secret)

        return Answer({**token, "secret": secret}, show)

    return Change(access.CREATE, given, then)


@app.command("list")
@shows
def list_tokens(ctx: typer.Context, limit: Limit = 1_000, after: After = None) -> Work:
    """Show the tokens, newest first, without their secrets."""

    async def work(client: HubClient) -> Answer:
        return listing(
            await search(client, access.TOKENS, limit=limit, after=after),
            ("id", "name", "role", "agent", "created", "expires", "revoked"),
            lambda token: (
                token["tokenId"],
                token["tokenName"],
                token["role"],
                token["agentId"],
                moment(token["createdAt"]),
                moment(token["expiresAt"]),
                moment(token["revokedAt"]),
            ),
            empty="There are no tokens.",
        )

    return work


@app.command()
@changes
def revoke(ctx: typer.Context, token: Token) -> Change:
    """End a token; its open connections end within seconds."""

    async def given(client: HubClient) -> Mapping[str, Any]:
        return {"tokenId": await find_id(client, TOKEN, token)}

    return Change(
        access.REVOKE,
        given,
        told("apiToken", lambda ended: f"Revoked {escape(ended['tokenName'])} ({ended['tokenId']})."),
    )


def _lifetime(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        raise typer.BadParameter("give a number of minutes, hours or days: 30m, 12h, 90d", param_hint="--expires")
    return int(match.group(1)) * UNITS[match.group(2)]
