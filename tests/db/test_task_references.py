"""A task depends on other tasks that exist: the database holds it, whoever writes."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from app.domain.errors import InvalidInput
from app.domain.ids import new_id
from db.queries.tasks import insert_tasks
from db.session import Database
from db.tables.tasks import tasks
from tests.services.makers import count

RULE = "tasks_depend_on_tasks"


async def store(database: Database, task_id: UUID, *depends_on: UUID) -> None:
    values = {"task_id": task_id, "title": "x", "depends_on": list(depends_on)}
    async with database.engine.begin() as connection:
        await connection.execute(insert(tasks).values(**values))


async def test_a_task_may_depend_on_tasks_that_exist(database: Database) -> None:
    first, second, third = new_id(), new_id(), new_id()
    await store(database, first)
    await store(database, second, first)
    await store(database, third, first, second)
    assert await count(database, tasks) == 3


async def test_it_may_not_depend_on_others_or_itself(database: Database) -> None:
    first, second = new_id(), new_id()
    await store(database, first)
    for depends_on in ([new_id()], [first, new_id()], [second]):
        with pytest.raises(IntegrityError) as caught:
            await store(database, second, *depends_on)
        cause = caught.value.orig.__cause__ if caught.value.orig else None
        assert isinstance(cause, asyncpg.ForeignKeyViolationError)
        assert cause.constraint_name == RULE
    assert await count(database, tasks) == 1


async def test_nor_be_changed_to(database: Database) -> None:
    first = new_id()
    await store(database, first)
    for depends_on in ([new_id()], [first]):
        statement = update(tasks).where(tasks.c.task_id == first).values(depends_on=depends_on)
        with pytest.raises(InvalidInput):
            await database.transact(lambda session: session.execute(statement))  # noqa: B023


def row(task_id: UUID, *depends_on: UUID) -> dict[str, Any]:
    return {
        "task_id": task_id, "title": "x", "description": "", "decision_id": None, "execution_id": None,
        "required_role": None, "required_capabilities": ["a", 'b"\\'], "complexity": 5, "depends_on": list(depends_on),
        "priority": 5, "timeout_seconds": None, "input": {"big": 2**63 - 1, "nested": [None, "ü"]},
    }  # fmt: skip


async def test_tasks_of_one_statement_may_depend_on_earlier_ones_of_it(database: Database) -> None:
    first, second = new_id(), new_id()
    rows = [row(first), row(second, first)]
    stored = await database.transact(lambda session: insert_tasks(session, rows, "test"))
    assert [{name: getattr(one, name) for name in rows[0]} for one in stored] == rows
    later = new_id()
    wrong = [row(new_id(), later), row(later)]
    with pytest.raises(InvalidInput):
        await database.transact(lambda session: insert_tasks(session, wrong, "test"))
    assert await count(database, tasks) == 2
