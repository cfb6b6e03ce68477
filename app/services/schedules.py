"""Schedules: create, update, pause, resume, delete, trigger; and what happens when one comes due.

A schedule that is due starts its execution and moves on to its next moment in one transaction, which holds its row: so
each moment is run once, whoever comes to it and whoever dies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, HubError, IllegalTransition, InvalidInput, StaleVersion
from app.domain.ids import new_id
from app.domain.json_schemas import CONTEXT, check_json
from app.domain.principals import SYSTEM, Principal
from app.domain.rules import NAME_MAX, clean_text, required_text
from app.domain.schedules import (
    SCHEDULE_MACHINE,
    Firing,
    MissedRuns,
    ScheduleStatus,
    Timing,
    check_timing,
    fire,
    first_run,
)
from app.domain.tasks import REASON_MAX
from app.domain.workflows import TriggerType
from app.services.references import find
from app.services.workflow_inputs import latest_template
from app.services.workflows import ScheduledRun, StartWorkflow, start_workflow
from db.queries import schedules as queries
from db.queries.changes import amend, create, transition
from db.queries.entities import SCHEDULE

ERROR_SHOWN = 2_000


@dataclass(frozen=True)
class CreateSchedule:
    """Start executions of a workflow at certain times."""

    schedule_name: str
    workflow_name: str
    timing: Timing
    input_context: Mapping[str, Any] = field(default_factory=dict)
    missed_runs: MissedRuns = MissedRuns.RUN_ONCE


async def create_schedule(session: AsyncConnection, principal: Principal, command: CreateSchedule) -> Row[Any]:
    """Store an active schedule. Raises `InvalidInput`, `UnknownTemplate`."""
    timing = check_timing(command.timing)
    values = {
        "schedule_id": new_id(),
        "schedule_name": required_text("scheduleName", command.schedule_name, NAME_MAX),
        "workflow_name": clean_text("workflowName", command.workflow_name, NAME_MAX),
        "input_context": check_json("inputContext", dict(command.input_context), CONTEXT),
        "missed_runs": command.missed_runs.value,
        "created_by": principal.agent_id or principal.name,
    }
    await latest_template(session, command.workflow_name)
    now = await queries.now(session)
    timing = _anchored(timing, now)
    values |= {**_columns(timing), **_ahead(timing, first_run(timing, now), now)}
    detail = {"workflow_name": command.workflow_name, "next_run_at": values["next_run_at"].isoformat()}
    return await create(session, SCHEDULE, values, "created", principal.name, detail)


@dataclass(frozen=True)
class UpdateSchedule:
    """What is to be changed of a schedule; None stays as it is. A cron expression, an interval or a start takes the
    place of all that said when it comes due.
    """

    schedule_id: UUID
    expected_version: int
    schedule_name: str | None = None
    workflow_name: str | None = None
    input_context: Mapping[str, Any] | None = None
    missed_runs: MissedRuns | None = None
    cron_expression: str | None = None
    time_zone: str | None = None
    interval_seconds: int | None = None
    start_at: datetime | None = None


async def update_schedule(session: AsyncConnection, principal: Principal, command: UpdateSchedule) -> Row[Any]:
    """Change a schedule; one that has ended and is given another time is active again.

    Raises `InvalidInput`, `NotFound`, `UnknownTemplate`, `StaleVersion`, `IllegalTransition` for one that was deleted.
    """
    values = await _changes(session, command)
    schedule = await _read_expected(session, command)
    status = ScheduleStatus(schedule.schedule_status)
    if status is ScheduleStatus.DELETED:
        SCHEDULE_MACHINE.require(status, ScheduleStatus.ACTIVE)
    now = await queries.now(session)
    timing = _changed_timing(schedule, command)
    if timing is not None:
        timing = _anchored(timing, now)
        values |= _columns(timing)
    if not values:
        raise InvalidInput("There is nothing to change: give at least one attribute. Nothing was written.", "input")
    detail = {"changed": sorted(values)}
    if timing is not None and status is not ScheduleStatus.PAUSED:
        values |= _ahead(timing, first_run(timing, now), now)
        if status is ScheduleStatus.ENDED:
            return await _transition(session, principal, command, ScheduleStatus.ACTIVE, "updated", values, detail)
    return await amend(
        session,
        SCHEDULE,
        command.schedule_id,
        "updated",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=detail,
    )


@dataclass(frozen=True)
class PauseSchedule:
    """Start no executions until it is resumed."""

    schedule_id: UUID
    expected_version: int
    reason: str = ""


async def pause_schedule(session: AsyncConnection, principal: Principal, command: PauseSchedule) -> Row[Any]:
    """Active → paused. Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`."""
    detail = {"reason": clean_text("reason", command.reason, REASON_MAX)}
    await _read_expected(session, command)
    return await _transition(session, principal, command, ScheduleStatus.PAUSED, "paused", _NOTHING_AHEAD, detail)


@dataclass(frozen=True)
class ResumeSchedule:
    """Start executions again, from the next moment on."""

    schedule_id: UUID
    expected_version: int


async def resume_schedule(session: AsyncConnection, principal: Principal, command: ResumeSchedule) -> Row[Any]:
    """Paused → active; what came due meanwhile is left out.

    Raises `NotFound`, `StaleVersion`, `IllegalTransition`; `Blocked` when it will not come due again.
    """
    schedule = await _read_expected(session, command)
    if schedule.schedule_status != ScheduleStatus.PAUSED.value:
        status = ScheduleStatus(schedule.schedule_status)
        raise IllegalTransition(SCHEDULE.kind, status, ScheduleStatus.ACTIVE, SCHEDULE_MACHINE.allowed_from(status))
    timing, now = timing_of(schedule), await queries.now(session)
    run = timing.after(now)
    if run is None:
        raise Blocked(
            f"The time of the schedule {schedule.schedule_name!r} has passed. Nothing was changed; give it another by "
            "scheduleUpdate, or delete it."
        )
    values = _ahead(timing, run, now)
    return await _transition(session, principal, command, ScheduleStatus.ACTIVE, "resumed", values, {})


@dataclass(frozen=True)
class DeleteSchedule:
    """Use the schedule no more."""

    schedule_id: UUID
    expected_version: int
    reason: str = ""


async def delete_schedule(session: AsyncConnection, principal: Principal, command: DeleteSchedule) -> Row[Any]:
    """Any → deleted; executions that it started go on, and keep it.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    detail = {"reason": clean_text("reason", command.reason, REASON_MAX)}
    await _read_expected(session, command)
    return await _transition(session, principal, command, ScheduleStatus.DELETED, "deleted", _NOTHING_AHEAD, detail)


@dataclass(frozen=True)
class TriggerSchedule:
    """Start its execution now, beside those that it starts by itself."""

    schedule_id: UUID


async def trigger_schedule(session: AsyncConnection, principal: Principal, command: TriggerSchedule) -> Row[Any]:
    """The execution, as `start_workflow` makes it. Raises what that raises, `NotFound`, and `IllegalTransition` for a
    schedule that was deleted.
    """
    schedule = await find(session, SCHEDULE, command.schedule_id, "scheduleId")
    if schedule.schedule_status == ScheduleStatus.DELETED.value:
        SCHEDULE_MACHINE.require(ScheduleStatus.DELETED, ScheduleStatus.ACTIVE)
    run = ScheduledRun(schedule.schedule_id, schedule.schedule_name)
    start = StartWorkflow(schedule.workflow_name, schedule.input_context, TriggerType.MANUAL, run=run)
    return await start_workflow(session, principal, start)


async def fire_if_due(session: AsyncConnection, schedule_id: UUID) -> bool:
    """Start what the schedule is due for, and move it on, if it is due and nobody else has it; whether it was."""
    schedule = await queries.take_due(session, schedule_id)
    if schedule is None:
        return False
    timing = timing_of(schedule)
    firing = fire(timing, MissedRuns(schedule.missed_runs), schedule.next_run_at, schedule.now)
    told, values = await _run(session, schedule, firing)
    if firing.following is None:
        await _end(session, schedule, values, told)
        return True
    values |= {"next_run_at": firing.following, "next_runs": timing.upcoming(schedule.now)}
    event_type = "fired" if firing.run is not None else "missed"
    await amend(session, SCHEDULE, schedule.schedule_id, event_type, SYSTEM.name, values=values, detail=told)
    return True


def timing_of(schedule: Row[Any]) -> Timing:
    """When the schedule comes due."""
    return Timing(schedule.cron_expression, schedule.time_zone, schedule.interval_seconds, schedule.start_at)


async def _end(session: AsyncConnection, schedule: Row[Any], values: dict[str, Any], told: dict[str, Any]) -> None:
    """After the last moment."""
    ended = {**values, **_NOTHING_AHEAD}
    key = schedule.schedule_id
    await transition(session, SCHEDULE, key, ScheduleStatus.ENDED, "ended", SYSTEM.name, values=ended, detail=told)


async def _run(session: AsyncConnection, schedule: Row[Any], firing: Firing) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start an execution for the moment, if there is one to be run: what events tell of it, and what changes."""
    told: dict[str, Any] = {"missed_since": firing.missed.isoformat()} if firing.missed is not None else {}
    if firing.run is None or await queries.has_run(session, schedule.schedule_id, firing.run):
        return told, {}
    told["run"] = firing.run.isoformat()
    run = ScheduledRun(schedule.schedule_id, schedule.schedule_name, firing.run)
    start = StartWorkflow(schedule.workflow_name, schedule.input_context, TriggerType.SCHEDULED, run=run)
    error = None
    try:
        async with session.begin_nested():
            execution = await start_workflow(session, SYSTEM, start)
            told["execution_id"] = str(execution.execution_id)
    except HubError as refusal:
        # such as a template that rejects a second execution: the schedule goes on, and says why nothing was started
        told["error"] = error = refusal.message[:ERROR_SHOWN]
    return told, {"last_run_at": firing.run, "last_error": error}


async def _changes(session: AsyncConnection, command: UpdateSchedule) -> dict[str, Any]:
    """The columns that are given, but for those that say when."""
    values: dict[str, Any] = {}
    if command.schedule_name is not None:
        values["schedule_name"] = required_text("scheduleName", command.schedule_name, NAME_MAX)
    if command.workflow_name is not None:
        values["workflow_name"] = clean_text("workflowName", command.workflow_name, NAME_MAX)
        await latest_template(session, command.workflow_name)
    if command.input_context is not None:
        values["input_context"] = check_json("inputContext", dict(command.input_context), CONTEXT)
    if command.missed_runs is not None:
        values["missed_runs"] = command.missed_runs.value
    return values


def _changed_timing(schedule: Row[Any], command: UpdateSchedule) -> Timing | None:
    """When it is to come due from now on; None as before."""
    given = (command.cron_expression, command.interval_seconds, command.start_at)
    zone = command.time_zone if command.time_zone is not None else schedule.time_zone
    if any(part is not None for part in given):
        return check_timing(Timing(command.cron_expression, zone, command.interval_seconds, command.start_at))
    if command.time_zone is None:
        return None
    known = timing_of(schedule)
    return check_timing(Timing(known.cron_expression, zone, known.interval_seconds, known.start_at))


def _anchored(timing: Timing, now: datetime) -> Timing:
    """An interval that is not told when to begin begins now."""
    if timing.interval_seconds is None or timing.start_at is not None:
        return timing
    return replace(timing, start_at=now + timedelta(seconds=timing.interval_seconds))


def _columns(timing: Timing) -> dict[str, Any]:
    return {
        "cron_expression": timing.cron_expression,
        "time_zone": timing.time_zone,
        "interval_seconds": timing.interval_seconds,
        "start_at": timing.start_at,
    }


_NOTHING_AHEAD: Mapping[str, Any] = {"next_run_at": None, "next_runs": []}


def _ahead(timing: Timing, run: datetime, now: datetime) -> dict[str, Any]:
    return {"next_run_at": run, "next_runs": timing.upcoming(now)}


Change = UpdateSchedule | PauseSchedule | ResumeSchedule | DeleteSchedule


async def _read_expected(session: AsyncConnection, command: Change) -> Row[Any]:
    schedule = await find(session, SCHEDULE, command.schedule_id, "scheduleId")
    if schedule.version != command.expected_version:
        raise StaleVersion(SCHEDULE.kind, schedule.schedule_id, command.expected_version, schedule.version)
    return schedule


async def _transition(
    session: AsyncConnection,
    principal: Principal,
    command: Change,
    target: ScheduleStatus,
    event_type: str,
    values: Mapping[str, Any],
    detail: Mapping[str, Any],
) -> Row[Any]:
    return await transition(
        session,
        SCHEDULE,
        command.schedule_id,
        target,
        event_type,
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=detail,
    )
