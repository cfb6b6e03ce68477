"""`hub schedule create|list|pause|resume|delete|trigger`: when workflows start by themselves."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.markup import escape

from app.client.arguments import After, Limit, Reason, Schedule, Template
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.commands.workflows import given_input
from app.client.connection import HubClient
from app.client.finding import SCHEDULE, find
from app.client.listing import listing
from app.client.operations import schedules
from app.client.output import moment
from app.client.paging import search
from app.domain.schedules import MissedRuns

app = typer.Typer(no_args_is_help=True, help="Schedules: start workflows by cron, at intervals or once.")


@app.command()
@changes
def create(
    ctx: typer.Context,
    schedule_name: Annotated[str, typer.Argument(help="What to call it.")],
    name: Template,
    cron: Annotated[
        str | None, typer.Option(help="Minute, hour, day of month, month, day of week: '0 7 * * MON-FRI'.")
    ] = None,
    zone: Annotated[str, typer.Option(help="The IANA time zone of the cron expression.")] = "UTC",
    every: Annotated[int | None, typer.Option(help="Seconds from one run to the next.")] = None,
    at: Annotated[
        str | None, typer.Option(help="The moment of a single run, or the first of an interval: 2026-12-01T07:00:00Z.")
    ] = None,
    missed: Annotated[
        MissedRuns, typer.Option(help="What becomes of runs whose time passes while no hub is there.")
    ] = MissedRuns.RUN_ONCE,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--input", help="key=value of the input; the value is JSON where it can be, else a text."),
    ] = None,
    input_json: Annotated[str | None, typer.Option(help="The whole input as a JSON object.")] = None,
) -> Change:
    """Start a workflow by itself: give --cron, --every or --at."""
    given = {
        "scheduleName": schedule_name,
        "workflowName": name,
        "cronExpression": cron,
        "timeZone": zone,
        "intervalSeconds": every,
        "startAt": at,
        "missedRuns": missed.name,
        "inputContext": given_input(pairs or [], input_json),
        "idempotencyKey": f"cli:{uuid4()}",
    }

    async def input_of(_client: HubClient) -> Mapping[str, Any]:
        return given

    return Change(schedules.CREATE, input_of, told("schedule", _line))


@app.command("list")
@shows
def list_schedules(ctx: typer.Context, limit: Limit = 20, after: After = None) -> Work:
    """Show the newest schedules."""

    async def work(client: HubClient) -> Answer:
        found = await search(client, schedules.SCHEDULES, limit=limit, after=after, fits=lambda _: True)
        return listing(
            found,
            ("schedule", "name", "status", "workflow", "when", "next run", "last run"),
            lambda schedule: (
                schedule["scheduleId"],
                schedule["scheduleName"],
                schedule["scheduleStatus"],
                schedule["workflowName"],
                _when(schedule),
                moment(schedule["nextRunAt"]),
                moment(schedule["lastRunAt"]),
            ),
            empty="There are no schedules. Make one with `hub schedule create NAME WORKFLOW --cron '0 7 * * *'`.",
        )

    return work


@app.command()
@changes
def pause(ctx: typer.Context, schedule: Schedule, reason: Reason = None) -> Change:
    """Let a schedule start nothing until it is resumed."""
    return _steer(schedules.PAUSE, schedule, reason=reason or "")


@app.command()
@changes
def resume(ctx: typer.Context, schedule: Schedule) -> Change:
    """Let a paused schedule go on; what came due meanwhile is left out."""
    return _steer(schedules.RESUME, schedule)


@app.command()
@changes
def delete(ctx: typer.Context, schedule: Schedule, reason: Reason = None) -> Change:
    """Use a schedule no more; executions that it started go on."""
    return _steer(schedules.DELETE, schedule, reason=reason or "")


@app.command()
@changes
def trigger(ctx: typer.Context, schedule: Schedule) -> Change:
    """Start a schedule's execution now."""
    key = f"cli:{uuid4()}"

    async def input_of(client: HubClient) -> Mapping[str, Any]:
        return {"scheduleId": (await find(client, SCHEDULE, schedule))["scheduleId"], "idempotencyKey": key}

    started = told("workflow", lambda row: f"Started {escape(row['workflowName'])}: {row['executionId']}")
    return Change(schedules.TRIGGER, input_of, started)


def _steer(operation: str, schedule: str, **given: Any) -> Change:
    async def input_of(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, SCHEDULE, schedule)
        return {"scheduleId": found["scheduleId"], "expectedVersion": found["version"], **given}

    return Change(operation, input_of, told("schedule", _line))


def _line(schedule: Mapping[str, Any]) -> str:
    following = f", next at {moment(schedule['nextRunAt'])}" if schedule["nextRunAt"] else ""
    return f"{escape(schedule['scheduleName'])} {schedule['scheduleId']} is {schedule['scheduleStatus']}{following}."


def _when(schedule: Mapping[str, Any]) -> str:
    if schedule["cronExpression"] is not None:
        return f"{schedule['cronExpression']} {schedule['timeZone']}"
    if schedule["intervalSeconds"] is not None:
        return f"every {schedule['intervalSeconds']} s"
    return f"once at {moment(schedule['startAt'])}"
