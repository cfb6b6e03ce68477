"""`hub query`: any query or mutation, from the command line."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.client.connection import HubClient
from app.client.options import run
from app.client.output import print_json

STANDARD_INPUT = "-"


def query(
    ctx: typer.Context,
    operation: Annotated[str, typer.Argument(help="GraphQL text; - reads it from standard input, @FILE from a file.")],
    variables: Annotated[str, typer.Option(help="Variables, a JSON object.")] = "{}",
) -> None:
    """Run a GraphQL query or mutation and print its data as JSON."""
    text, values = _text(operation), _object(variables)

    async def work(client: HubClient) -> dict[str, Any]:
        return await client.execute(text, values)

    print_json(run(ctx, work))


def _text(operation: str) -> str:
    if operation == STANDARD_INPUT:
        return typer.get_text_stream("stdin").read()
    if not operation.startswith("@"):
        return operation
    try:
        return Path(operation[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"the file cannot be read: {error}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--variables") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint="--variables")
    return value
