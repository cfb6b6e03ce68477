"""`hub workflow start|watch|list`: workflow executions."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.markup import escape

from app.client.connection import HubClient
from app.client.operations import workflows
from app.client.options import run
from app.client.output import moment, out, print_json, print_table
from app.client.paging import walk
from app.client.progress import ProgressLines
from app.client.watching import State, watch
from app.domain.workflows import ExecutionStatus

app = typer.Typer(no_args_is_help=True, help="Workflow executions: start, watch, list.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def start(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The template, e.g. code-audit.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--input", help="key=value of the input; the value is JSON where it can be, else a text."),
    ] = None,
    input_json: Annotated[str | None, typer.Option(help="The whole input as a JSON object.")] = None,
    watching: Annotated[bool, typer.Option("--watch", help="Stay and show its progress.")] = False,
    as_json: Json = False,
) -> None:
    """Start an execution of a workflow template."""
    given = {
        "workflowName": name,
        "inputContext": _input(pairs or [], input_json),
        "idempotencyKey": f"cli:{uuid4()}",
    }

    async def work(client: HubClient) -> dict[str, Any]:
        workflow: dict[str, Any] = (await client.mutate(workflows.START, given))["workflow"]
        return dict(await _watch(client, workflow["executionId"], quiet=as_json)) if watching else workflow

    workflow = run(ctx, work)
    if as_json:
        print_json(workflow)
    elif not watching:
        out().print(f"Started {escape(name)}: {workflow['executionId']}")
    _exit_by_status(workflow, watched=watching)


@app.command("watch")
def watch_workflow(
    ctx: typer.Context,
    execution_id: Annotated[str, typer.Argument(help="The execution's id.")],
    as_json: Json = False,
) -> None:
    """Show an execution's progress until it ends; exit code 1 unless it completed."""

    async def work(client: HubClient) -> State:
        return await _watch(client, execution_id, quiet=as_json)

    state = run(ctx, work)
    if as_json:
        print_json(state)
    _exit_by_status(state, watched=True)


@app.command("list")
def list_workflows(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest executions."""

    async def work(client: HubClient) -> list[dict[str, Any]]:
        return [workflow async for workflow in walk(client, workflows.WORKFLOWS, limit)]

    found = run(ctx, work)
    if as_json:
        print_json(found)
        return
    print_table(
        ("execution", "workflow", "status", "phase", "by", "created", "completed"),
        (
            (
                workflow["executionId"],
                workflow["workflowName"],
                workflow["executionStatus"],
                workflow["currentPhase"],
                workflow["triggeredBy"],
                moment(workflow["createdAt"]),
                moment(workflow["completedAt"]),
            )
            for workflow in found
        ),
        empty="There are no executions. Start one with `hub workflow start NAME`.",
    )


async def _watch(client: HubClient, execution_id: str, *, quiet: bool) -> State:
    lines, console = ProgressLines(), out()

    def show(state: State) -> None:
        for line in lines.since_last(state):
            console.print(escape(line), soft_wrap=True)

    def hear(change: Mapping[str, Any]) -> None:
        line = lines.of_change(change)
        if line is not None:
            console.print(escape(line), soft_wrap=True, style="dim")

    if quiet:
        return await watch(client, execution_id, lambda state: None)
    return await watch(client, execution_id, show, hear)


def _exit_by_status(workflow: Mapping[str, Any], *, watched: bool) -> None:
    if watched and workflow["executionStatus"] != ExecutionStatus.COMPLETED.name:
        raise typer.Exit(1)


def _input(pairs: list[str], whole: str | None) -> dict[str, Any]:
    given = {} if whole is None else _object(whole)
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise typer.BadParameter(f"{pair!r} is not key=value", param_hint="--input")
        given[key] = _value(value)
    return given


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"this is not JSON: {error}", param_hint="--input-json") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("the input must be a JSON object", param_hint="--input-json")
    return value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
