"""`hub workflow start|watch|list|history|signal|pause|resume|retry|fork|skip|fail|cancel`: workflow executions."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import uuid4

import typer
from rich.markup import escape

from app.client.arguments import After, Execution, GivenReason, Limit, Reason, Template
from app.client.command import Answer, Change, Work, changes, shows, told, wants_json
from app.client.connection import HubClient
from app.client.finding import EXECUTION, find, find_id
from app.client.listing import listing
from app.client.operations import workflows
from app.client.options import run
from app.client.output import moment, out
from app.client.paging import search
from app.client.progress import ProgressLines
from app.client.watching import State, watch
from app.domain.workflows import ExecutionStatus

app = typer.Typer(no_args_is_help=True, help="Workflow executions: start, watch, list, export, steer.")


@app.command()
@changes
def start(
    ctx: typer.Context,
    name: Template,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--input", help="key=value of the input; the value is JSON where it can be, else a text."),
    ] = None,
    input_json: Annotated[str | None, typer.Option(help="The whole input as a JSON object.")] = None,
    watching: Annotated[bool, typer.Option("--watch", help="Stay and show its progress.")] = False,
) -> Change:
    """Start an execution of a workflow template."""
    given = {
        "workflowName": name,
        "inputContext": given_input(pairs or [], input_json),
        "idempotencyKey": f"cli:{uuid4()}",
    }
    quiet = wants_json(ctx)

    async def input_of(_client: HubClient) -> Mapping[str, Any]:
        return given

    async def then(client: HubClient, payload: Mapping[str, Any]) -> Answer:
        workflow = payload["workflow"]
        if watching:
            return _watched(await _watch(client, workflow["executionId"], quiet=quiet))
        return Answer(workflow, lambda: out().print(f"Started {escape(name)}: {workflow['executionId']}"))

    return Change(workflows.START, input_of, then)


@app.command("watch")
@shows
def watch_workflow(ctx: typer.Context, execution: Execution) -> Work:
    """Show an execution's progress until it ends; exit code 1 unless it completed."""
    quiet = wants_json(ctx)

    async def work(client: HubClient) -> Answer:
        return _watched(await _watch(client, await find_id(client, EXECUTION, execution), quiet=quiet))

    return work


@app.command("list")
@shows
def list_workflows(
    ctx: typer.Context,
    status: Annotated[ExecutionStatus | None, typer.Option(help="Only those in this status.")] = None,
    limit: Limit = 20,
    after: After = None,
) -> Work:
    """Show the newest executions."""

    async def work(client: HubClient) -> Answer:
        found = await search(
            client,
            workflows.WORKFLOWS,
            limit=limit,
            after=after,
            fits=lambda workflow: status is None or workflow["executionStatus"] == status.name,
        )
        return listing(
            found,
            ("execution", "workflow", "status", "phase", "by", "created", "completed"),
            lambda workflow: (
                workflow["executionId"],
                workflow["workflowName"],
                workflow["executionStatus"],
                workflow["currentPhase"],
                workflow["triggeredBy"],
                moment(workflow["createdAt"]),
                moment(workflow["completedAt"]),
            ),
            empty="There are no executions. Start one with `hub workflow start NAME`.",
        )

    return work


@app.command()
def history(
    ctx: typer.Context,
    execution: Execution,
    output: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
) -> None:
    """Write an execution's complete history as JSON: steps, tasks, gates, decisions, costs, errors, all events."""

    async def work(client: HubClient) -> None:
        execution_id = await find_id(client, EXECUTION, execution)
        with _whole(output) as file:
            await client.download(f"/executions/{execution_id}/history.json", file.write)

    run(ctx, work)


@app.command()
@changes
def signal(
    ctx: typer.Context,
    execution: Execution,
    name: Annotated[str, typer.Argument(help="The signal that a phase of the workflow awaits.")],
    payload: Annotated[str, typer.Option(help="What is told: JSON where it can be, else a text.")] = "null",
    key: Annotated[str | None, typer.Option(help="Of the same key only the first counts.")] = None,
) -> Change:
    """Tell an execution something that a phase of it waits for."""

    async def input_of(client: HubClient) -> Mapping[str, Any]:
        execution_id = await find_id(client, EXECUTION, execution)
        return {"executionId": execution_id, "name": name, "payload": _value(payload), "key": key}

    return Change(workflows.SIGNAL, input_of, told("workflow", _status_line))


@app.command()
@changes
def pause(ctx: typer.Context, execution: Execution, reason: Reason = None) -> Change:
    """Hold a running execution: no phase begins or ends until it is resumed; tasks and verdicts go on."""
    return _steer(workflows.PAUSE, execution, reason=reason or "")


@app.command()
@changes
def resume(ctx: typer.Context, execution: Execution) -> Change:
    """Let a paused execution go on."""
    return _steer(workflows.RESUME, execution)


@app.command()
@changes
def retry(ctx: typer.Context, execution: Execution, reason: Reason = None) -> Change:
    """Let a failed execution go on with the phase that failed."""
    return _steer(workflows.RETRY, execution, reason=reason or "")


@app.command()
@changes
def fork(
    ctx: typer.Context,
    execution: Execution,
    step: Annotated[int, typer.Option(help="The number of the step to begin with; those before stand as they are.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--input", help="key=value of another input; the value is JSON where it can be, else a text."),
    ] = None,
    input_json: Annotated[str | None, typer.Option(help="The whole other input as a JSON object.")] = None,
    reason: Reason = None,
) -> Change:
    """Run an execution again from one of its steps on, as a new one; the old one is not touched."""
    given: dict[str, Any] = {"step": step, "reason": reason or "", "idempotencyKey": f"cli:{uuid4()}"}
    if pairs or input_json is not None:
        given["inputContext"] = given_input(pairs or [], input_json)

    async def input_of(client: HubClient) -> Mapping[str, Any]:
        return {"executionId": await find_id(client, EXECUTION, execution), **given}

    return Change(workflows.FORK, input_of, told("workflow", _status_line))


@app.command()
@changes
def skip(ctx: typer.Context, execution: Execution, reason: GivenReason) -> Change:
    """Go on without the phase under way, or the one that failed; later phases are told why."""
    return _steer(workflows.SKIP_PHASE, execution, reason=reason)


@app.command()
@changes
def fail(ctx: typer.Context, execution: Execution, reason: GivenReason) -> Change:
    """End an execution as failed; it can be retried."""
    return _steer(workflows.FAIL, execution, reason=reason)


@app.command()
@changes
def cancel(ctx: typer.Context, execution: Execution, reason: GivenReason) -> Change:
    """Stop an execution for good; what was completed stays recorded."""
    return _steer(workflows.CANCEL, execution, reason=reason)


@contextmanager
def _whole(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that has its name once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(output.name + ".part")
    with part.open("wb") as file:
        yield file
    part.replace(output)


def _steer(operation: str, execution: str, **given: Any) -> Change:
    async def input_of(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, EXECUTION, execution)
        return {"executionId": found["executionId"], "expectedVersion": found["version"], **given}

    return Change(operation, input_of, told("workflow", _status_line))


def _status_line(workflow: Mapping[str, Any]) -> str:
    return f"{escape(workflow['workflowName'])} {workflow['executionId']} is {workflow['executionStatus']}."


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


def _watched(state: State) -> Answer:
    """The last state; what led to it was shown as it came."""
    completed = state["executionStatus"] == ExecutionStatus.COMPLETED.name
    return Answer(dict(state), lambda: None, exit_code=0 if completed else 1)


def given_input(pairs: list[str], whole: str | None) -> dict[str, Any]:
    """The input that options give: an object, and pairs on top of it. Raises `typer.BadParameter`."""
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
