"""What every client command shares: how the hub is reached, and how a command ends."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from app.client.connection import HubClient
from app.client.errors import ClientError

INTERRUPTED = 130

Result = TypeVar("Result")


@dataclass(frozen=True)
class ClientOptions:
    """Where the hub is, and the bearer token to show it; the root command puts this into the typer context."""

    url: str
    token: str | None


class OptionsMaker:
    """Makes the options of the root command's parameters; the root keeps it in its context for shell completion.

    While a shell completes a line no command is run, the root neither, so that nobody has made the options yet.
    """

    def __init__(self, make: Callable[[str | None, str | None], ClientOptions]) -> None:
        self.make = make


def completion_options(ctx: typer.Context) -> ClientOptions | None:
    """The options that the line begun so far would give; None where the root says nothing of them."""
    maker = ctx.find_object(OptionsMaker)
    given = ctx.find_root().params
    return maker.make(given.get("url"), given.get("token")) if maker is not None else None


def options_of(ctx: typer.Context) -> ClientOptions:
    """The options that the root command made."""
    options = ctx.find_object(ClientOptions)
    if options is None:
        raise typer.BadParameter("the command was mounted without ClientOptions in its context")
    return options


def client_of(ctx: typer.Context) -> HubClient:
    """A client of the hub, not yet connected. A usage error (exit code 2) without a token."""
    options = options_of(ctx)
    if not options.token:
        raise typer.BadParameter(
            "no token: give one with --token or HUB_TOKEN. `hub up` makes one for the administrator when it first "
            "starts, and keeps it in the file admin.token of its data folder, where this command looks for it."
        )
    return HubClient(options.url, options.token)


def run(ctx: typer.Context, work: Callable[[HubClient], Coroutine[Any, Any, Result]]) -> Result:
    """The result of `work` with a connected client. Expected failures are printed and become the exit code."""
    client = client_of(ctx)

    async def connected() -> Result:
        async with client:
            return await work(client)

    with ending():
        return asyncio.run(connected())


@contextmanager
def ending() -> Iterator[None]:
    """Turns expected failures and Ctrl-C inside the block into a message and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
    except ClientError as error:
        raise _exit(error) from None
    except BaseExceptionGroup as group:
        expected, rest = group.split(ClientError)
        if expected is None or rest is not None:
            raise
        raise _exit(next(_leaves(expected))) from None


def _exit(error: ClientError) -> typer.Exit:
    Console(stderr=True).print(f"[red]{escape(str(error))}[/red]", highlight=False, soft_wrap=True)
    return typer.Exit(error.exit_code)


def _leaves(group: BaseExceptionGroup[ClientError]) -> Iterator[ClientError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
