"""The rules of executions and tasks that the database keeps by keys and triggers, whoever writes."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.domain.workflows import StepStatus
from db.queries.steps import begin_step, end_step
from db.session import Database
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_steps, workflow_templates

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def refusal_of(database: Database, *statements: Any) -> str | None:
    """The rule that refuses the statements, run in one transaction; None when they are taken, and then they stay."""
    try:
        async with database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(statement)
    except IntegrityError as error:
        cause = error.orig.__cause__ if error.orig else None
        assert isinstance(cause, asyncpg.PostgresError)
        return str(cause.as_dict()["constraint_name"])
    return None


def execution(execution_id: UUID, **values: Any) -> Any:
    row = {"workflow_name": "plain", "template_version": 1, "trigger_type": "manual", "triggered_by": "ann"}
    return insert(workflow_executions).values(execution_id=execution_id, **{**row, **values})


def step(execution_id: UUID, number: int, minutes: float, phase: str | None = None) -> Any:
    values = {"step_number": number, "phase": phase or f"p{number}", "attempt": 1}
    started_at = NOON + timedelta(minutes=minutes)
    return insert(workflow_steps).values(step_id=new_id(), execution_id=execution_id, started_at=started_at, **values)


def task(task_id: UUID, *depends_on: UUID) -> Any:
    return insert(tasks).values(task_id=task_id, title="Build it", depends_on=list(depends_on))


@pytest.fixture
async def executions(database: Database) -> list[UUID]:
    """Two executions of a template."""
    template: Mapping[str, Any] = {"template_name": "plain", "template_version": 1, "description": "x", "spec": {}}
    ids = [new_id(), new_id()]
    statements = [insert(workflow_templates).values(**template), *map(execution, ids)]
    assert await refusal_of(database, *statements) is None
    return ids


async def test_an_execution_has_an_id_of_its_own_and_a_template_that_exists(
    database: Database, executions: list[UUID]
) -> None:
    assert await refusal_of(database, execution(executions[0])) == "pk_workflow_executions"
    for wrong in ({"workflow_name": "no-such"}, {"template_version": 2}):
        assert await refusal_of(database, execution(new_id(), **wrong)) == "fk_workflow_executions_template"
    for blank in ("", "  "):
        refused = await refusal_of(database, execution(new_id(), triggered_by=blank))
        assert refused == "ck_workflow_executions_triggered_by"
    assert await refusal_of(database, execution(new_id())) is None


async def test_steps_are_numbered_in_the_order_of_time(database: Database, executions: list[UUID]) -> None:
    one, other = executions
    assert await refusal_of(database, step(one, 1, 0), step(one, 3, 10)) is None
    for number, minutes in [(4, 9.9), (2, 10.1), (2, -0.1)]:
        assert await refusal_of(database, step(one, number, minutes)) == "workflow_steps_in_order"
    assert await refusal_of(database, step(one, 2, 5), step(one, 4, 10)) is None
    assert await refusal_of(database, step(other, 1, 60), step(other, 2, 61)) is None
    assert await refusal_of(database, step(one, 4, 11, "else")) == "uq_workflow_steps_execution_id_step_number"
    assert await refusal_of(database, step(one, 0, -1)) == "ck_workflow_steps_step_number"


async def test_a_step_cannot_be_moved_out_of_order(database: Database, executions: list[UUID]) -> None:
    one, _ = executions
    assert await refusal_of(database, *(step(one, number, number) for number in (1, 2, 3))) is None
    second = update(workflow_steps).where(workflow_steps.c.step_number == 2)
    for values in ({"step_number": 4}, {"started_at": NOON}, {"started_at": NOON + timedelta(minutes=3.1)}):
        assert await refusal_of(database, second.values(**values)) == "workflow_steps_in_order"
    assert await refusal_of(database, second.values(started_at=NOON + timedelta(minutes=2.5))) is None


@pytest.mark.parametrize(("minutes", "rule"), [(5, "workflow_steps_in_order"), (15, None)])
async def test_of_steps_stored_at_the_same_time_the_later_sees_the_earlier(
    database: Database, executions: list[UUID], minutes: float, rule: str | None
) -> None:
    one, other = executions
    async with database.engine.connect() as first:
        await first.execute(step(one, 1, 10))
        second = asyncio.create_task(refusal_of(database, step(one, 2, minutes)))
        assert await refusal_of(database, step(other, 1, 0)) is None
        await is_waiting(database)
        assert not second.done()
        await first.commit()
    assert await second == rule


async def is_waiting(database: Database) -> None:
    """Wait until a session waits for the lock of another one."""
    async with database.engine.connect() as connection, asyncio.timeout(10):
        asked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not (await connection.execute(asked)).scalar_one():  # noqa: ASYNC110  (the lock is the database's)
            await asyncio.sleep(0.01)


async def test_the_engines_steps_are_in_order_though_the_clock_was_set_back(
    database: Database, executions: list[UUID]
) -> None:
    """A step in the future stands for a clock that was ahead when it was stored."""
    one, _ = executions
    minutes = (datetime.now(UTC) + timedelta(hours=1) - NOON).total_seconds() / 60
    assert await refusal_of(database, step(one, 1, minutes)) is None

    async def go_on(session: AsyncConnection) -> None:
        await begin_step(session, one, 2, "next", 1)
        assert await end_step(session, one, 2, StepStatus.COMPLETED, {})

    await database.transact(go_on)
    rows = await database.transact(
        lambda session: session.execute(
            select(workflow_steps.c.started_at, workflow_steps.c.completed_at).order_by(workflow_steps.c.step_number)
        )
    )
    (first_start, _), (second_start, second_end) = rows
    assert first_start == second_start == second_end


async def test_a_task_depends_on_other_tasks_that_exist(database: Database) -> None:
    first, second, third = new_id(), new_id(), new_id()
    assert await refusal_of(database, task(first), task(second, first)) is None
    rule = "tasks_depend_on_tasks"
    for wrong in ([new_id()], [third], [first, new_id()], [first, third]):
        assert await refusal_of(database, task(third, *wrong)) == rule
    moved = update(tasks).where(tasks.c.task_id == first)
    assert await refusal_of(database, moved.values(depends_on=[first])) == rule
    assert await refusal_of(database, moved.values(depends_on=[new_id()])) == rule
    assert await refusal_of(database, moved.values(title="Else")) is None
    assert await refusal_of(database, task(third, first, second)) is None


async def test_tasks_of_one_statement_may_depend_on_those_before_them(database: Database) -> None:
    first, second, third, fourth = (new_id() for _ in range(4))

    def rows(*pairs: tuple[UUID, list[UUID]]) -> Any:
        return insert(tasks).values([{"task_id": made, "title": "x", "depends_on": on} for made, on in pairs])

    assert await refusal_of(database, rows((first, []), (second, [first]))) is None
    assert await refusal_of(database, rows((third, [fourth]), (fourth, []))) == "tasks_depend_on_tasks"


async def test_a_task_that_is_not_committed_yet_is_nothing_to_depend_on(database: Database) -> None:
    first, second = new_id(), new_id()
    async with database.engine.connect() as connection:
        await connection.execute(task(first))
        assert await refusal_of(database, task(second, first)) == "tasks_depend_on_tasks"
        await connection.commit()
    assert await refusal_of(database, task(second, first)) is None
