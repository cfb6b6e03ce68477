"""Which task an agent is given, and what becomes of one that nobody can do."""

from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import asyncpg

from app.domain.agents import AgentRole
from app.domain.errors import Blocked, ClaimLost
from app.domain.ids import new_id
from app.domain.principals import SYSTEM
from app.services.agents import RegisterAgent, register_agent
from app.services.task_ends import CancelTask, RetryTask, cancel_task, retry_task
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    FailTask,
    ReleaseTask,
    claim_task,
    complete_task,
    fail_task,
    release_task,
    release_tasks_of,
)
from db.queries.tasks import claimable
from db.session import Database
from db.tables.events import event_log
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    an_execution,
    events_of,
    row_of,
    run,
)

JAMES = agent_principal("james-dev")


async def test_what_is_urgent_is_given_out_first_and_of_that_the_oldest(database: Database) -> None:
    await an_agent(database, concurrency=5)
    for title, priority in (("later", 9), ("first", 5), ("urgent", 1), ("second", 5), ("urgent too", 1)):
        await a_task(database, title, priority=priority)
    given = [(await run(database, claim_task, JAMES, ClaimTask("james-dev"))).title for _ in range(5)]
    assert given == ["urgent", "urgent too", "first", "second", "later"]


MANY = text(
    """
    INSERT INTO tasks (task_id, title, priority, status, completed_at)
    SELECT gen_random_uuid(), 'x', 1 + n % 9, CASE WHEN n % 20 = 0 THEN 'pending' ELSE 'completed' END,
        CASE WHEN n % 20 = 0 THEN NULL ELSE now() END
    FROM generate_series(1, 20000) AS n
    """
)


async def test_a_claim_visits_what_is_pending_and_nothing_that_is_done(database: Database) -> None:
    statement = claimable("james-dev", "developer", ["python"]).compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
    parameters = statement.construct_params()
    async with database.engine.connect() as connection:
        await connection.execute(MANY)
        await connection.execute(text("ANALYZE tasks"))
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        values = [parameters[name] for name in statement.positiontup or ()]
        plan = await raw.fetchval(f"EXPLAIN (FORMAT JSON, COSTS OFF) {statement.string}", *values)
    nodes = list(_nodes(plan[0]["Plan"]))
    assert ("Index Scan", "ix_tasks_claimable") in nodes
    assert not {"Sort", "Seq Scan"} & {kind for kind, _ in nodes}


def _nodes(plan: dict[str, Any]) -> Any:
    yield plan["Node Type"], plan.get("Index Name")
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


async def test_a_task_that_fails_for_good_waits_for_a_person(database: Database) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    for attempt in (1, 2):
        failed = await run(database, fail_task, JAMES, FailTask(task.task_id, task.version, "no compiler"))
        assert (failed.failures, failed.escalated_at, failed.escalation_reason) == (attempt, None, None)
        again = await run(database, retry_task, ADMIN, RetryTask(failed.task_id, failed.version))
        task = await _started(database, again.task_id)
    failed = await run(database, fail_task, JAMES, FailTask(task.task_id, task.version, "no compiler"))
    assert failed.escalated_at is not None
    assert failed.escalation_reason == "failed 3 times, the last time with: no compiler"
    types = [event[0] for event in await events_of(database, task.task_id)]
    assert (types[-2:], types.count("escalated")) == (["failed", "escalated"], 1)
    again = await run(database, retry_task, ADMIN, RetryTask(failed.task_id, failed.version))
    assert (again.status, again.escalated_at, again.escalation_reason) == ("pending", None, None)


async def _started(database: Database, task_id: Any) -> Any:
    held = await run(database, claim_task, JAMES, ClaimTask("james-dev", task_id))
    values = {"status": "running", "version": held.version + 1}
    await database.transact(
        lambda session: session.execute(update(tasks).where(tasks.c.task_id == task_id).values(values))
    )
    return await row_of(database, tasks, task_id=task_id)


async def test_a_task_that_comes_back_too_often_is_offered_no_more_until_a_person_says_so(database: Database) -> None:
    await an_agent(database)
    task = await a_task(database)
    await database.transact(lambda session: session.execute(update(tasks).values(max_releases=2)))
    back: Any = None
    for releases in (1, 2, 3):
        held = await run(database, claim_task, JAMES, ClaimTask("james-dev"))
        back = await run(database, release_task, JAMES, ReleaseTask(held.task_id, held.version, "cannot"))
        assert (back.releases, back.release_reason, back.escalated_at is None) == (releases, "cannot", releases < 3)
    assert back.escalation_reason == "given back 3 times, the last time because: cannot"
    assert [event[0] for event in await events_of(database, task.task_id)][-2:] == ["released", "escalated"]
    assert await run(database, claim_task, JAMES, ClaimTask("james-dev")) is None
    with pytest.raises(Blocked, match=r"waits for a person: given back 3 times.*taskRetry"):
        await run(database, claim_task, JAMES, ClaimTask("james-dev", task.task_id))
    again = await run(database, retry_task, ADMIN, RetryTask(task.task_id, back.version, "mended"))
    assert (again.status, again.version, again.releases, again.escalated_at) == ("pending", back.version + 1, 0, None)
    assert (await run(database, claim_task, JAMES, ClaimTask("james-dev"))).task_id == task.task_id


async def test_those_whose_agent_falls_silent_too_often_escalate_and_the_others_do_not(database: Database) -> None:
    await an_agent(database, concurrency=2)
    often, once = await a_running_task(database), await a_running_task(database)
    change = update(tasks).where(tasks.c.task_id == often.task_id).values(releases=10)
    await database.transact(lambda session: session.execute(change))
    given = (["james-dev"], SYSTEM.name, "no report for 90 seconds")
    assert await database.transact(lambda session: release_tasks_of(session, *given)) == 2
    found = {t.task_id: await row_of(database, tasks, task_id=t.task_id) for t in (often, once)}
    assert found[often.task_id].escalation_reason == (
        "given back 11 times, the last time because: no report for 90 seconds"
    )
    assert (found[once.task_id].releases, found[once.task_id].escalated_at) == (1, None)
    statement = select(event_log.c.entity_id).where(event_log.c.event_type == "escalated")
    rows = await database.transact(lambda session: session.execute(statement))
    assert list(rows.scalars()) == [str(often.task_id)]


async def test_what_waits_for_a_task_that_fails_for_good_is_cancelled_and_its_execution_woken(
    database: Database,
) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    task = await a_running_task(database)
    next_one = await a_task(database, "next", depends_on=[task.task_id], execution_id=execution.execution_id)
    last = await a_task(database, "last", depends_on=[next_one.task_id])
    apart = await a_task(database, "apart")
    await database.transact(
        lambda session: session.execute(update(tasks).where(tasks.c.task_id == task.task_id).values(max_failures=1))
    )
    before = (await row_of(database, workflow_executions, execution_id=execution.execution_id)).wake_seq
    await run(database, fail_task, JAMES, FailTask(task.task_id, task.version, "broken"))
    statuses = [(await row_of(database, tasks, task_id=t.task_id)).status for t in (task, next_one, last, apart)]
    assert statuses == ["failed", "cancelled", "cancelled", "pending"]
    after = (await row_of(database, workflow_executions, execution_id=execution.execution_id)).wake_seq
    assert after == before + 1
    detail = select(event_log.c.detail["reason"].astext).where(
        event_log.c.entity_id == str(last.task_id), event_log.c.event_type == "cancelled"
    )
    told = (await database.transact(lambda session: session.execute(detail))).scalar_one()
    assert told == "the task 'next' that it depends on is CANCELLED for good"


async def test_what_waits_for_a_cancelled_task_is_cancelled(database: Database) -> None:
    first = await a_task(database)
    waiting = await a_task(database, "waiting", depends_on=[first.task_id])
    await run(database, cancel_task, ADMIN, CancelTask(first.task_id, first.version, "not needed"))
    assert (await row_of(database, tasks, task_id=waiting.task_id)).status == "cancelled"


async def test_a_late_report_is_told_what_became_of_the_task(database: Database) -> None:
    await an_agent(database)
    await an_agent(database, "mary-dev")
    task = await a_running_task(database)
    given = (["james-dev"], SYSTEM.name, "no report for 90 seconds")
    await database.transact(lambda session: release_tasks_of(session, *given))
    late = CompleteTask(task.task_id, task.version, 1)
    with pytest.raises(
        ClaimLost,
        match=r"is PENDING and held by nobody, not by james-dev\. It was given back because: no report for 90",
    ):
        await run(database, complete_task, JAMES, late)
    await run(database, claim_task, ADMIN, ClaimTask("mary-dev", task.task_id))
    with pytest.raises(ClaimLost, match="is ASSIGNED and held by mary-dev, not by james-dev"):
        await run(database, complete_task, JAMES, late)
    assert (await row_of(database, tasks, task_id=task.task_id)).result is None


async def test_a_new_process_keeps_the_tasks_that_it_goes_on_with(database: Database) -> None:
    await an_agent(database, concurrency=3)
    kept, lost = await a_running_task(database), await a_running_task(database)
    command = RegisterAgent("james-dev", AgentRole.DEVELOPER, concurrency=3, keep_task_ids=[kept.task_id, new_id()])
    agent = await run(database, register_agent, JAMES, command)
    assert agent.status == "active"
    found = {t.task_id: await row_of(database, tasks, task_id=t.task_id) for t in (kept, lost)}
    assert (found[kept.task_id].status, found[kept.task_id].version) == ("running", kept.version)
    assert (found[lost.task_id].status, found[lost.task_id].release_reason) == (
        "pending",
        "the agent registered anew",
    )
    done = await run(database, complete_task, JAMES, CompleteTask(kept.task_id, kept.version, {"done": 1}))
    assert done.status == "completed"
