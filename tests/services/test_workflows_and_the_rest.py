"""Workflows, model assignments, metrics, tokens and idempotency keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import (
    ClaimLost,
    Forbidden,
    IdempotencyKeyReused,
    IllegalTransition,
    InvalidInput,
    NotFound,
    StaleVersion,
    Unauthenticated,
    UnknownTemplate,
)
from app.domain.ids import new_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.domain.principals import Principal, Role
from app.security.tokens import Authenticator, new_secret
from app.services.access import CreateToken, create_token, revoke_token
from app.services.idempotency import once
from app.services.metrics import Measurement, record_metrics
from app.services.model_assignments import (
    CompleteAssignment,
    RecordAssignment,
    complete_assignment,
    record_assignment,
)
from app.services.tasks import CreateTask, create_task
from app.services.workflows import CancelWorkflow, StartWorkflow, cancel_workflow, start_workflow
from db.session import Database
from db.tables.access import api_tokens
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.metrics import resource_metrics
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

JAMES = agent_principal("james-dev")


async def test_an_unknown_template_is_refused_with_the_known_ones(database: Database) -> None:
    await an_execution(database, "known-one")
    with pytest.raises(UnknownTemplate, match="known-one"):
        await run(database, start_workflow, ADMIN, StartWorkflow("no-such"))
    assert await count(database, workflow_executions) == 1


async def test_cancelling_takes_the_tasks_and_the_fence(database: Database) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    held = await a_running_task(database, execution_id=execution.execution_id)
    free = await a_task(database, execution_id=execution.execution_id)
    command = CancelWorkflow(execution.execution_id, execution.version, "no longer needed")
    cancelled = await run(database, cancel_workflow, ADMIN, command)
    assert (cancelled.execution_status, cancelled.fence) == ("cancelled", execution.fence + 1)
    assert cancelled.completed_at is not None
    for task in (held, free):
        assert (await row_of(database, tasks, task_id=task.task_id)).status == "cancelled"
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"
    assert (await events_of(database, execution.execution_id))[-1] == ("cancelled", "pending", "cancelled", 2)
    with pytest.raises(IllegalTransition, match="it is final"):
        await run(database, cancel_workflow, ADMIN, CancelWorkflow(execution.execution_id, 2, "again"))


async def test_a_stale_cancellation_cancels_nothing(database: Database) -> None:
    execution = await an_execution(database)
    task = await a_task(database, execution_id=execution.execution_id)
    with pytest.raises(StaleVersion):
        await run(database, cancel_workflow, ADMIN, CancelWorkflow(execution.execution_id, 9, "late"))
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "pending"


async def test_a_model_assignment_from_choice_to_cost(database: Database) -> None:
    await an_agent(database)
    task = await a_running_task(database, complexity=7)
    choice = RecordAssignment(
        "james-dev", task.task_id, Provider.ANTHROPIC_CLAUDE, "claude-sonnet-4", AssignmentReason.COMPLEXITY_HIGH,
        estimated_cost=Decimal("0.10"),
    )  # fmt: skip
    row = await run(database, record_assignment, JAMES, choice)
    assert (row.assignment_status, row.task_complexity) == ("active", 7)
    costs = CompleteAssignment(row.assignment_id, row.version, Decimal("0.123456"), 4200, 1500, Decimal("9.5"))
    with pytest.raises(ClaimLost):
        await run(database, complete_assignment, agent_principal("jane-dev"), costs)
    done = await run(database, complete_assignment, JAMES, costs)
    assert (done.assignment_status, done.actual_cost, done.tokens_used) == ("completed", Decimal("0.123456"), 4200)
    assert [event[0] for event in await events_of(database, row.assignment_id)] == [
        "recorded",
        "activated",
        "completed",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"estimated_cost": Decimal(-1)},
        {"estimated_cost": Decimal("NaN")},
        {"task_complexity": 0},
        {"model_name": ""},
        {"assignment_status": AssignmentStatus.COMPLETED},
    ],
)
async def test_bad_assignments(database: Database, changes: dict[str, Any]) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    values: dict[str, Any] = {
        "agent_id": "james-dev",
        "task_id": task.task_id,
        "provider_name": Provider.ZAI_GLM,
        "model_name": "glm-4.5",
        "assignment_reason": AssignmentReason.FALLBACK,
    }
    with pytest.raises(InvalidInput):
        await run(database, record_assignment, JAMES, RecordAssignment(**values | changes))


async def test_metrics_are_stored_all_or_none_each_with_its_event(database: Database) -> None:
    await an_agent(database)
    now = datetime.now(UTC)
    good = [Measurement(now, "james-dev", cpu_usage=Decimal("12.5"), memory_usage=Decimal(300)) for _ in range(3)]
    ids = await run(database, record_metrics, JAMES, good)
    assert len(set(ids)) == 3
    assert await events_of(database, ids[0]) == [("recorded", None, None, None)]
    for bad, error in [
        (Measurement(now - timedelta(days=91), "james-dev"), InvalidInput),
        (Measurement(now + timedelta(minutes=6), "james-dev"), InvalidInput),
        (Measurement(now, "james-dev", cpu_usage=Decimal("100.1")), InvalidInput),
        (Measurement(now, "james-dev", error_rate=Decimal("NaN")), InvalidInput),
        (Measurement(now, "james-dev", active_sessions=-1), InvalidInput),
        (Measurement(now, "jane-dev"), Forbidden),
        (Measurement(now, None), Forbidden),
    ]:
        with pytest.raises(error):
            await run(database, record_metrics, JAMES, [*good, bad])
    for unknown, field in [
        (Measurement(now, "ghost-dev"), "agentId"),
        (Measurement(now, "james-dev", new_id()), "executionId"),
    ]:
        with pytest.raises(NotFound) as caught:
            await run(database, record_metrics, ADMIN, [*good, unknown])
        assert caught.value.field == f"input.measurements.3.{field}"
    with pytest.raises(InvalidInput):
        await run(database, record_metrics, ADMIN, [])
    assert await count(database, resource_metrics) == 3


async def test_old_measurements_within_the_window_find_their_partition(database: Database) -> None:
    now = datetime.now(UTC)
    ages = [timedelta(days=89, hours=23), timedelta(days=40), timedelta(0), -timedelta(minutes=4)]
    await run(database, record_metrics, ADMIN, [Measurement(now - age) for age in ages])
    assert await count(database, resource_metrics) == 4


async def test_a_token_opens_until_it_is_revoked_or_expires(database: Database) -> None:
    secret = new_secret()
    row = await run(database, create_token, ADMIN, CreateToken("james", Role.AGENT, secret, "james-dev"))
    assert secret.encode() not in bytes(row.token_hash)
    principal = await Authenticator(database).authenticate(secret)
    assert principal == Principal("james", Role.AGENT, "james-dev", str(row.token_id))
    for wrong in ("", secret + "x", "hub_\ud800"):
        with pytest.raises(Unauthenticated):
            await Authenticator(database).authenticate(wrong)
    await run(database, revoke_token, ADMIN, row.token_id)
    with pytest.raises(Unauthenticated):
        await Authenticator(database).authenticate(secret)
    short = new_secret()
    expired = CreateToken("short", Role.VIEWER, short, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await run(database, create_token, ADMIN, expired)
    with pytest.raises(Unauthenticated):
        await Authenticator(database).authenticate(short)
    with pytest.raises(InvalidInput):
        await run(database, create_token, ADMIN, CreateToken("no agent", Role.AGENT, new_secret()))
    assert await count(database, api_tokens) == 2


async def _create_once(database: Database, key: str, title: str, principal: Principal = ADMIN) -> Any:
    async def work(session: AsyncConnection) -> Any:
        async def create() -> dict[str, Any]:
            return {"entity_id": str((await create_task(session, principal, CreateTask(title))).task_id)}

        return await once(session, principal, key, title.encode, create)

    return await database.transact(work)


async def test_a_key_makes_a_request_happen_once_even_when_it_comes_ten_times_at_once(database: Database) -> None:
    results = await asyncio.gather(*(_create_once(database, "k", "one") for _ in range(10)))
    assert len({result["entity_id"] for result in results}) == 1
    assert await count(database, tasks) == 1
    assert await count(database, event_log) == 1
    with pytest.raises(IdempotencyKeyReused):
        await _create_once(database, "k", "another")
    await _create_once(database, "k", "one", Principal("else", Role.ADMIN, token_id="t2"))
    assert await count(database, tasks) == 2


async def test_a_refused_request_leaves_its_key_free(database: Database) -> None:
    with pytest.raises(InvalidInput):
        await _create_once(database, "k", " ")
    await _create_once(database, "k", "now right")
    assert await count(database, tasks) == 1
