"""What every command has in common: `--json`, `--dry-run`, and what comes out on which stream.

A command is written as a function of its own arguments that returns what is to be asked of the hub: `@shows` for one
that reads, `@changes` for one that writes. Here they get their options, are run, and print: with `--json` the data as
GraphQL gave them, and nothing else, on standard output; notes and errors on standard error.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from app.client.connection import HubClient
from app.client.errors import HubRefused
from app.client.options import run
from app.client.output import note, out, print_json, print_plan

JSON_KEY = "app.client.json"

Json = Annotated[bool, typer.Option("--json", help="Print JSON: the data as GraphQL gives them, and nothing else.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing: only tell what would change, or what blocks it.")
]


@dataclass(frozen=True)
class Answer:
    """What a command found: the data for programs, how people are shown it, what else is to be said, how it ends."""

    data: Any
    show: Callable[[], None]
    notes: Sequence[str] = ()
    exit_code: int = 0


Work = Callable[[HubClient], Coroutine[Any, Any, Answer]]


@dataclass(frozen=True)
class Change:
    """A mutation to be sent: `given` finds out its input, `then` tells of its payload when it was carried out."""

    operation: str
    given: Callable[[HubClient], Awaitable[Mapping[str, Any]]]
    then: Callable[[HubClient, Mapping[str, Any]], Coroutine[Any, Any, Answer]]


def told(
    field: str, line: Callable[[Any], str]
) -> Callable[[HubClient, Mapping[str, Any]], Coroutine[Any, Any, Answer]]:
    """Tell of a payload by one line on one field of it, which is also the data."""

    async def then(_client: HubClient, payload: Mapping[str, Any]) -> Answer:
        return Answer(payload[field], lambda: out().print(line(payload[field]), soft_wrap=True))

    return then


def wants_json(ctx: typer.Context) -> bool:
    """Whether standard output is for a program."""
    return bool(ctx.meta.get(JSON_KEY))


def shows(command: Callable[..., Work]) -> Callable[..., None]:
    """A command that reads. It may be the callback of a group, which leaves the work to its subcommand, if one came."""

    @functools.wraps(command)
    def wrapper(ctx: typer.Context, *, as_json: bool, **arguments: Any) -> None:
        if ctx.invoked_subcommand is not None:
            _refuse_options(ctx)
            return
        ctx.meta[JSON_KEY] = as_json
        _finish(run(ctx, command(ctx, **arguments)), as_json=as_json)

    return _with_options(command, wrapper, {"as_json": Json})


def changes(command: Callable[..., Change]) -> Callable[..., None]:
    """A command that writes, or with `--dry-run` only tells what it would write."""

    @functools.wraps(command)
    def wrapper(ctx: typer.Context, *, as_json: bool, dry_run: bool, **arguments: Any) -> None:
        ctx.meta[JSON_KEY] = as_json
        change = command(ctx, **arguments)
        _finish(run(ctx, _rehearsed(change) if dry_run else _carried_out(change)), as_json=as_json)

    return _with_options(command, wrapper, {"dry_run": DryRun, "as_json": Json})


def changes_unrehearsed(command: Callable[..., Change]) -> Callable[..., None]:
    """A command that writes by a mutation which has no dry run."""

    @functools.wraps(command)
    def wrapper(ctx: typer.Context, *, as_json: bool, **arguments: Any) -> None:
        ctx.meta[JSON_KEY] = as_json
        _finish(run(ctx, _carried_out(command(ctx, **arguments))), as_json=as_json)

    return _with_options(command, wrapper, {"as_json": Json})


def _carried_out(change: Change) -> Work:
    async def work(client: HubClient) -> Answer:
        payload = await client.mutate(change.operation, await change.given(client))
        answer = await change.then(client, payload)
        return replace(answer, notes=[*answer.notes, *_redactions(payload)])

    return work


def _redactions(payload: Mapping[str, Any]) -> list[str]:
    redacted = payload.get("redactedFields")
    return [f"Taken for a secret, and replaced before it was stored: {', '.join(redacted)}."] if redacted else []


def _rehearsed(change: Change) -> Work:
    async def work(client: HubClient) -> Answer:
        given = await change.given(client)
        return _plan(await client.payload(change.operation, {**given, "dryRun": True}))

    return work


def _plan(payload: Mapping[str, Any]) -> Answer:
    """What a dry run told; that something blocks the change is an answer, and also a failure."""
    data = {"dryRun": payload["dryRun"], "userErrors": payload["userErrors"]}
    return Answer(data, lambda: print_plan(data), exit_code=HubRefused.exit_code if payload["userErrors"] else 0)


def _finish(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer.data)
    else:
        answer.show()
    for line in answer.notes:
        note(line)
    if answer.exit_code:
        raise typer.Exit(answer.exit_code)


def _with_options(
    command: Callable[..., Any], wrapper: Callable[..., None], options: Mapping[str, Any]
) -> Callable[..., None]:
    """Give the wrapper the command's own parameters and the options, as typer reads them off a function."""
    signature = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in options.items()
    ]
    parameters = [*signature.parameters.values(), *added]
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _refuse_options(ctx: typer.Context) -> None:
    """An option of the listing in front of a subcommand would be read by nobody."""
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name.removeprefix('as_').replace('_', '-')} in front of {ctx.invoked_subcommand!r} means nothing; "
                "give the options behind it"
            )
