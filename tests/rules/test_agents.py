"""Agents: the tasks at hand exist, and reports come often enough, or the agent is shown as stale."""

from datetime import timedelta

import pytest
from sqlalchemy import func, text
from sqlalchemy.exc import IntegrityError

from app.agent.runner import BEAT_SECONDS
from app.domain.agents import OFFLINE_AFTER, STALE_AFTER
from app.domain.errors import InvalidInput, NotFound
from app.domain.ids import new_id, parse_id
from app.services.tasks import ClaimTask, claim_task
from db.session import Database
from db.tables.agents import agent_reports
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.api.conftest import Client, admin, client_for
from tests.services.makers import ADMIN, a_task, an_agent, count, run

__all__ = ["admin", "client_for"]


@pytest.mark.parametrize("name", ["", "7", "john-pm", "01a2058e-140f-7568-a3f7", "x" * 36])
def test_a_task_is_named_by_a_uuid(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_id("taskId", name)
    assert refused.value.field == "input.taskId"


async def test_a_task_that_does_not_exist_is_not_claimed(database: Database) -> None:
    await an_agent(database)
    events = await count(database, event_log)
    with pytest.raises(NotFound) as refused:
        await run(database, claim_task, ADMIN, ClaimTask("james-dev", new_id()))
    assert refused.value.field == "input.taskId"
    assert (await count(database, event_log), await count(database, tasks)) == (events, 0)


async def test_a_task_is_held_by_an_agent_that_exists(database: Database) -> None:
    """Active tasks are the tasks that name the agent, so a list of them cannot name what does not exist."""
    await a_task(database)
    with pytest.raises(IntegrityError, match="fk_tasks_assigned_agent_id"):
        async with database.engine.begin() as connection:
            await connection.execute(tasks.update().values(status="assigned", assigned_agent_id="nobody-dev"))


def test_agents_report_often_enough_not_to_be_stale() -> None:
    assert timedelta(seconds=30) == STALE_AFTER
    assert timedelta(seconds=90) == OFFLINE_AFTER
    # two reports may be lost on the way
    assert 3 * timedelta(seconds=BEAT_SECONDS) <= STALE_AFTER


@pytest.mark.parametrize(("seconds", "stale"), [(0, False), (29, False), (31, True), (3_600, True)])
async def test_an_agent_is_stale_once_30_seconds_have_passed(
    database: Database, admin: Client, seconds: int, stale: bool
) -> None:
    await an_agent(database)
    silence = func.now() - text(f"interval '{seconds} seconds'")
    change = agent_reports.update().values(last_activity=silence)
    await database.transact(lambda session: session.execute(change))
    found = await admin.ask('{ agent(agentId: "james-dev") { isStale } }')
    assert found == {"agent": {"isStale": stale}}
