"""What an execution leaves of LangGraph's checkpoints when it has ended, however it ended: the last one."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.engine import Row

from app.domain.agents import AgentRole
from app.services.workflows import CancelWorkflow, FailWorkflow, cancel_workflow, fail_workflow
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    ADMIN,
    Fail,
    Member,
    Team,
    constant,
    execution_of,
    play,
    start,
    store_template,
    stored,
    task_phase,
    until,
)

DEV = Member("james-dev", AgentRole.DEVELOPER)


async def _cancel(session: Any, row: Row[Any]) -> Any:
    return await cancel_workflow(session, ADMIN, CancelWorkflow(row.execution_id, row.version, "not needed"))


async def _fail(session: Any, row: Row[Any]) -> Any:
    return await fail_workflow(session, ADMIN, FailWorkflow(row.execution_id, row.version, "in vain"))


@pytest.mark.parametrize(
    ("answer", "end", "status"),
    [
        ({}, None, "completed"),
        (Fail("no compiler"), None, "failed"),
        (None, _fail, "failed"),
        (None, _cancel, "cancelled"),
    ],
    ids=["completed", "failed by itself", "failed by somebody", "cancelled"],
)
async def test_of_what_has_ended_one_checkpoint_is_left(
    engine_database: Database,
    start_worker: StartWorker,
    answer: Any,
    end: Callable[[Any, Row[Any]], Any] | None,
    status: str,
) -> None:
    database = engine_database
    team = Team(database, [DEV], {"third": constant(answer)})
    await team.register()
    # where somebody ends it, the third phase waits for an agent that there is none of
    role = "developer" if end is None else "qa"
    last = task_phase("third", role=role, max_failures=1)
    await store_template(database, "plain", task_phase("first"), task_phase("second"), last)
    await start_worker()
    execution_id = await start(database, "plain")
    if end is None:
        await play(team, execution_id)
    else:

        async def waits() -> bool:
            await team.work()
            row = await execution_of(database, execution_id)
            return row.current_phase == "third" and row.lease_owner is None

        await until(waits)
        assert (await stored(database))[0] > 1
        row = await execution_of(database, execution_id)
        await database.transact(lambda session: end(session, row))
    assert (await execution_of(database, execution_id)).execution_status == status

    async def pruned() -> bool:
        return (await stored(database))[:2] == [1, 0]

    await until(pruned)
