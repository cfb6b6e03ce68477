"""Schedules in the database: made, changed, fired once whoever looks, and told in events."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.engine import Row

from app.domain.errors import (
    Blocked,
    HubError,
    IllegalTransition,
    InvalidInput,
    NotFound,
    StaleVersion,
    UnknownTemplate,
)
from app.domain.ids import new_id
from app.domain.schedules import MissedRuns, Timing
from app.services.schedules import (
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
    UpdateSchedule,
    create_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    update_schedule,
)
from app.upkeep.schedules import fire_due
from db.session import Database
from db.tables.workflows import workflow_executions, workflow_schedules, workflow_templates
from tests.services.makers import ADMIN, a_template, count, events_of, row_of, run

HOURLY = Timing("0 * * * *", "Europe/Berlin")
HOUR = timedelta(hours=1)


async def a_schedule(database: Database, timing: Timing = HOURLY, **options: Any) -> Row[Any]:
    command = CreateSchedule("nightly", "plain", timing, {"page": 1}, **options)
    row: Row[Any] = await run(database, create_schedule, ADMIN, command)
    return row


async def of(database: Database, schedule_id: UUID) -> Row[Any]:
    return await row_of(database, workflow_schedules, schedule_id=schedule_id)


async def overdue(database: Database, schedule_id: UUID, **values: Any) -> None:
    """Time passes: what was to come is what has come."""
    statement = update(workflow_schedules).where(workflow_schedules.c.schedule_id == schedule_id).values(**values)
    await database.transact(lambda session: session.execute(statement))


async def executions(database: Database) -> list[Row[Any]]:
    statement = select(workflow_executions).order_by(workflow_executions.c.execution_id)
    return list(await database.transact(lambda session: session.execute(statement)))


async def types_of(database: Database, schedule_id: UUID) -> list[str]:
    return [event[0] for event in await events_of(database, schedule_id)]


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_schedule_is_made(database: Database) -> None:
    await a_template(database)
    row = await a_schedule(database)
    assert (row.schedule_status, row.created_by, row.version) == ("active", "root", 1)
    assert row.next_run_at > now()
    assert row.next_run_at.minute == 0
    assert row.next_runs == [row.next_run_at + number * HOUR for number in range(10)]
    every = await a_schedule(database, Timing(interval_seconds=3600))
    assert every.start_at == every.next_run_at
    assert timedelta() < every.next_run_at - now() <= HOUR
    once = await a_schedule(database, Timing(start_at=now() + HOUR))
    assert once.next_runs == [once.next_run_at]
    assert await fire_due(database) == 0
    assert await executions(database) == []


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"schedule_name": " "}, InvalidInput, "scheduleName"),
        ({"workflow_name": "nothing"}, UnknownTemplate, "workflowName"),
        ({"timing": Timing("x")}, InvalidInput, "cronExpression"),
        ({"timing": Timing(start_at=datetime(2020, 1, 1, tzinfo=UTC))}, InvalidInput, "startAt"),
        ({"timing": Timing(start_at=datetime(9999, 12, 31, tzinfo=UTC))}, InvalidInput, "startAt"),
        ({"input_context": {"a": "\x00"}}, InvalidInput, "inputContext"),
    ],
)
async def test_what_is_refused(database: Database, changes: dict[str, Any], error: type[HubError], field: str) -> None:
    await a_template(database)
    whole: dict[str, Any] = {"schedule_name": "nightly", "workflow_name": "plain", "timing": HOURLY, **changes}
    with pytest.raises(error) as refused:
        await run(database, create_schedule, ADMIN, CreateSchedule(**whole))
    assert refused.value.field is not None
    assert refused.value.field.startswith(f"input.{field}")
    assert await count(database, workflow_schedules) == 0


async def test_what_is_due_is_started_once_whoever_looks(database: Database) -> None:
    """Eight that look at once, again and again: one execution, named after the schedule and its moment."""
    await a_template(database)
    schedule = await a_schedule(database)
    due = schedule.next_run_at - HOUR
    await overdue(database, schedule.schedule_id, next_run_at=due)
    fired = await asyncio.gather(*(fire_due(database) for _ in range(8)))
    assert sum(fired) == 1
    assert await fire_due(database) == 0
    (execution,) = await executions(database)
    assert (execution.trigger_type, execution.triggered_by) == ("scheduled", "schedule nightly")
    assert (execution.schedule_id, execution.scheduled_for) == (schedule.schedule_id, due)
    assert execution.input_context == {"page": 1}
    after = await of(database, schedule.schedule_id)
    assert (after.next_run_at, after.last_run_at, after.last_error) == (schedule.next_run_at, due, None)
    assert await types_of(database, schedule.schedule_id) == ["created", "fired"]


async def test_a_moment_that_was_run_is_not_run_again(database: Database) -> None:
    """A clock that was set back, or a schedule that was changed to and fro."""
    await a_template(database)
    schedule = await a_schedule(database)
    due = schedule.next_run_at - HOUR
    for _ in range(2):
        await overdue(database, schedule.schedule_id, next_run_at=due)
        assert await fire_due(database) == 1
    assert len(await executions(database)) == 1


async def test_nothing_is_kept_of_a_run_that_could_not_be_committed(database: Database) -> None:
    """Whoever dies before the commit has done nothing; the next one does it. One fault stops no other."""
    await a_template(database)
    broken, sound = await a_schedule(database), await a_schedule(database)
    for schedule in (broken, sound):
        await overdue(database, schedule.schedule_id, next_run_at=schedule.next_run_at - HOUR)
    await overdue(database, broken.schedule_id, time_zone="Europe/Atlantis")
    assert await fire_due(database) == 1
    assert [row.schedule_id for row in await executions(database)] == [sound.schedule_id]
    await overdue(database, broken.schedule_id, time_zone="UTC")
    assert await fire_due(database) == 1
    assert len(await executions(database)) == 2


@pytest.mark.parametrize(
    ("policy", "late", "started"),
    [
        (MissedRuns.SKIP, 5, []),
        (MissedRuns.RUN_ONCE, 5, [1]),
        (MissedRuns.RUN_ALL, 5, [5, 4, 3, 2, 1]),
    ],
)
async def test_missed_runs(database: Database, policy: MissedRuns, late: int, started: list[int]) -> None:
    """After hours without a hub; `started` in intervals before the next run."""
    await a_template(database)
    # the next run is half an interval ahead, so that none is in time by chance
    timing = Timing(interval_seconds=3600, start_at=now() + HOUR / 2)
    schedule = await a_schedule(database, timing, missed_runs=policy)
    await overdue(
        database,
        schedule.schedule_id,
        next_run_at=schedule.next_run_at - late * HOUR,
        start_at=schedule.start_at - 9 * HOUR,
    )
    while await fire_due(database):
        pass
    runs = [row.scheduled_for for row in await executions(database)]
    assert runs == [schedule.next_run_at - number * HOUR for number in started]
    assert (await of(database, schedule.schedule_id)).next_run_at == schedule.next_run_at
    told = await types_of(database, schedule.schedule_id)
    assert told == ["created", *(["fired"] * len(started) or ["missed"])]


async def test_a_single_run_ends_its_schedule(database: Database) -> None:
    await a_template(database)
    schedule = await a_schedule(database, Timing(start_at=now() + HOUR))
    await overdue(
        database, schedule.schedule_id, next_run_at=schedule.start_at - HOUR, start_at=schedule.start_at - HOUR
    )
    assert await fire_due(database) == 1
    ended = await of(database, schedule.schedule_id)
    assert (ended.schedule_status, ended.next_run_at, ended.next_runs) == ("ended", None, [])
    assert len(await executions(database)) == 1
    assert await types_of(database, schedule.schedule_id) == ["created", "ended"]
    again = UpdateSchedule(schedule.schedule_id, ended.version, start_at=now() + HOUR)
    assert (await run(database, update_schedule, ADMIN, again)).schedule_status == "active"


async def test_a_start_that_is_refused_is_told_and_the_schedule_goes_on(database: Database) -> None:
    values = {"template_name": "plain", "template_version": 1, "description": "For a test.",
              "spec": {"concurrency": {"policy": "reject", "key": None, "max": 1}}}  # fmt: skip
    await database.transact(lambda session: session.execute(insert(workflow_templates).values(**values)))
    schedule = await a_schedule(database, missed_runs=MissedRuns.RUN_ALL)
    for number in (2, 1):
        await overdue(database, schedule.schedule_id, next_run_at=schedule.next_run_at - number * HOUR)
        assert await fire_due(database) == 1
    assert len(await executions(database)) == 1
    after = await of(database, schedule.schedule_id)
    assert "may be under way at once" in after.last_error
    assert after.next_run_at == schedule.next_run_at


async def test_pause_resume_update_delete(database: Database) -> None:
    await a_template(database)
    row = await a_schedule(database)
    row = await run(database, pause_schedule, ADMIN, PauseSchedule(row.schedule_id, row.version, "holidays"))
    assert (row.schedule_status, row.next_run_at, row.next_runs) == ("paused", None, [])
    changed = UpdateSchedule(row.schedule_id, row.version, schedule_name="daily", cron_expression="0 7 * * *")
    row = await run(database, update_schedule, ADMIN, changed)
    assert (row.schedule_status, row.schedule_name, row.next_run_at) == ("paused", "daily", None)
    row = await run(database, resume_schedule, ADMIN, ResumeSchedule(row.schedule_id, row.version))
    assert row.next_run_at.astimezone(UTC).hour in (5, 6)
    row = await run(database, update_schedule, ADMIN, UpdateSchedule(row.schedule_id, row.version, time_zone="UTC"))
    assert row.next_run_at.hour == 7
    with pytest.raises(IllegalTransition):
        await run(database, resume_schedule, ADMIN, ResumeSchedule(row.schedule_id, row.version))
    row = await run(database, delete_schedule, ADMIN, DeleteSchedule(row.schedule_id, row.version))
    assert row.schedule_status == "deleted"
    commands: list[tuple[Any, Any]] = [
        (pause_schedule, PauseSchedule(row.schedule_id, row.version)),
        (resume_schedule, ResumeSchedule(row.schedule_id, row.version)),
        (update_schedule, UpdateSchedule(row.schedule_id, row.version, schedule_name="x")),
        (delete_schedule, DeleteSchedule(row.schedule_id, row.version)),
        (trigger_schedule, TriggerSchedule(row.schedule_id)),
    ]
    for service, command in commands:
        with pytest.raises(IllegalTransition):
            await run(database, service, ADMIN, command)
    told = ["created", "paused", "updated", "resumed", "updated", "deleted"]
    assert await types_of(database, row.schedule_id) == told


COMMANDS: dict[str, tuple[Any, Callable[[UUID, int], Any]]] = {
    "update": (update_schedule, lambda schedule_id, version: UpdateSchedule(schedule_id, version, schedule_name="x")),
    "pause": (pause_schedule, PauseSchedule),
    "resume": (resume_schedule, ResumeSchedule),
    "delete": (delete_schedule, DeleteSchedule),
}


@pytest.mark.parametrize("name", list(COMMANDS))
async def test_what_is_stale_or_not_there_is_refused(database: Database, name: str) -> None:
    await a_template(database)
    row = await a_schedule(database)
    service, command = COMMANDS[name]
    with pytest.raises(StaleVersion):
        await run(database, service, ADMIN, command(row.schedule_id, 7))
    with pytest.raises(NotFound) as missing:
        await run(database, service, ADMIN, command(new_id(), 1))
    assert missing.value.field == "input.scheduleId"
    assert await of(database, row.schedule_id) == row


async def test_a_resume_after_the_last_moment_says_so(database: Database) -> None:
    await a_template(database)
    row = await a_schedule(database, Timing(start_at=now() + HOUR))
    row = await run(database, pause_schedule, ADMIN, PauseSchedule(row.schedule_id, row.version))
    await overdue(database, row.schedule_id, start_at=now() - HOUR)
    with pytest.raises(Blocked, match="has passed"):
        await run(database, resume_schedule, ADMIN, ResumeSchedule(row.schedule_id, row.version))


async def test_triggered_by_hand_it_runs_beside_its_own_moments(database: Database) -> None:
    await a_template(database)
    schedule = await a_schedule(database)
    for _ in range(2):
        row = await run(database, trigger_schedule, ADMIN, TriggerSchedule(schedule.schedule_id))
        assert (row.trigger_type, row.triggered_by, row.scheduled_for) == ("manual", "root", None)
        assert row.schedule_id == schedule.schedule_id
    assert await of(database, schedule.schedule_id) == schedule


async def test_looking_for_what_is_due_takes_the_index(database: Database) -> None:
    sql = "EXPLAIN SELECT schedule_id FROM workflow_schedules WHERE schedule_status = 'active' AND next_run_at <= now()"
    async with database.snapshot() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join((await session.execute(text(sql))).scalars())
    assert "ix_workflow_schedules_due" in plan
