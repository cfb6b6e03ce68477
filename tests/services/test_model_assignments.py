"""Model assignments: planned and begun, failed with a fallback, cancelled; costs to a millionth of a dollar."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import ClaimLost, HubError, IllegalTransition, InvalidInput, NotFound, StaleVersion
from app.domain.ids import new_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, ModelChoice, Provider
from app.services.model_assignments import (
    ActivateAssignment,
    CancelAssignment,
    CompleteAssignment,
    FailAssignment,
    ModelUse,
    RecordAssignment,
    activate_assignment,
    cancel_assignment,
    complete_assignment,
    fail_assignment,
    record_assignment,
)
from app.services.tasks import ClaimTask, claim_task
from db.session import Database
from db.tables.events import event_log
from db.tables.model_assignments import model_assignments
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    count,
    events_of,
    row_of,
    run,
)

JAMES, JANE = agent_principal("james-dev"), agent_principal("jane-dev")
GLM = ModelChoice(Provider.ZAI_GLM, "glm-4.5", Decimal("0.02"))
OPUS = ModelChoice(Provider.ANTHROPIC_CLAUDE, "claude-opus-4")


def a_choice(task: Any, **changes: Any) -> RecordAssignment:
    values: dict[str, Any] = {
        "agent_id": "james-dev",
        "task_id": task.task_id,
        "provider_name": Provider.CLAUDE_CODE,
        "model_name": "claude-sonnet-4",
        "assignment_reason": AssignmentReason.COMPLEXITY_HIGH,
    }
    return RecordAssignment(**values | changes)


async def an_assignment(database: Database, **changes: Any) -> Any:
    await an_agent(database)
    task = await a_running_task(database)
    return await run(database, record_assignment, JAMES, a_choice(task, **changes))


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"agent_id": "no-body"}, NotFound, "input.agentId"),
        ({"agent_id": "James"}, InvalidInput, "input.agentId"),
        ({"task_id": new_id()}, NotFound, "input.taskId"),
        ({"decision_id": new_id()}, NotFound, "input.decisionId"),
        ({"task_complexity": 11}, InvalidInput, "input.taskComplexity"),
        ({"model_name": " "}, InvalidInput, "input.modelName"),
        ({"estimated_cost": Decimal("-0.000001")}, InvalidInput, "input.estimatedCost"),
        ({"estimated_cost": Decimal("99999999.9999995")}, InvalidInput, "input.estimatedCost"),
        ({"assignment_status": AssignmentStatus.FAILED}, InvalidInput, "input.assignmentStatus"),
        ({"fallbacks": [GLM] * 11}, InvalidInput, "input.fallbacks"),
        ({"fallbacks": [GLM, ModelChoice(Provider.ZAI_GLM, "")]}, InvalidInput, "input.fallbacks.1.modelName"),
        (
            {"fallbacks": [ModelChoice(Provider.ZAI_GLM, "m", Decimal("NaN"))]},
            InvalidInput,
            "input.fallbacks.0.estimatedCost",
        ),
    ],
)
async def test_bad_assignments(database: Database, changes: dict[str, Any], error: type[HubError], field: str) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    events = await count(database, event_log)
    with pytest.raises(error) as caught:
        await run(database, record_assignment, ADMIN, a_choice(task, **changes))
    assert caught.value.field == field
    assert await count(database, model_assignments) == 0
    assert await count(database, event_log) == events


async def test_the_task_must_be_the_agents(database: Database) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    free, others = await a_task(database), await a_running_task(database, "jane-dev")
    for task in (free, others):
        with pytest.raises(ClaimLost):
            await run(database, record_assignment, ADMIN, a_choice(task))
    with pytest.raises(ClaimLost):
        await run(database, record_assignment, ADMIN, a_choice(others, assignment_status=AssignmentStatus.PENDING))
    assert await count(database, model_assignments) == 0


async def test_a_model_is_planned_before_the_task_is_claimed_and_begins_with_it(database: Database) -> None:
    await an_agent(database)
    task = await a_task(database)
    planned = await run(database, record_assignment, ADMIN, a_choice(task, assignment_status=AssignmentStatus.PENDING))
    with pytest.raises(ClaimLost, match="held by nobody"):
        await run(database, activate_assignment, ADMIN, ActivateAssignment(planned.assignment_id, 1))
    await run(database, claim_task, JAMES, ClaimTask("james-dev", task.task_id))
    with pytest.raises(StaleVersion):
        await run(database, activate_assignment, JAMES, ActivateAssignment(planned.assignment_id, 2))
    with pytest.raises(ClaimLost, match="belongs to james-dev"):
        await run(database, activate_assignment, JANE, ActivateAssignment(planned.assignment_id, 1))
    active = await run(database, activate_assignment, JAMES, ActivateAssignment(planned.assignment_id, 1))
    assert (active.assignment_status, active.version) == ("active", 2)
    with pytest.raises(IllegalTransition):
        await run(database, activate_assignment, JAMES, ActivateAssignment(planned.assignment_id, 2))
    with pytest.raises(NotFound) as missing:
        await run(database, activate_assignment, JAMES, ActivateAssignment(new_id(), 1))
    assert missing.value.field == "input.assignmentId"


async def test_a_failure_is_followed_by_the_chain_until_it_ends(database: Database) -> None:
    first = await an_assignment(database, fallbacks=[GLM, OPUS], task_complexity=9)
    assert first.fallback_chain == [
        {"provider_name": "zai_glm", "model_name": "glm-4.5", "estimated_cost": "0.020000"},
        {"provider_name": "anthropic_claude", "model_name": "claude-opus-4", "estimated_cost": None},
    ]
    use = ModelUse(Decimal("0.5"), 12, 34)
    command = FailAssignment(first.assignment_id, first.version, "Overloaded.", use)
    failed, second = await run(database, fail_assignment, JAMES, command)
    assert (failed.assignment_status, failed.failure_reason) == ("failed", "Overloaded.")
    assert (failed.actual_cost, failed.tokens_used, failed.processing_time) == (Decimal("0.5"), 12, 34)
    assert failed.completed_at is not None
    assert (second.assignment_status, second.assignment_reason, second.fallback_of) == (
        "active", "fallback", first.assignment_id,
    )  # fmt: skip
    assert (second.provider_name, second.model_name, second.estimated_cost) == ("zai_glm", "glm-4.5", Decimal("0.02"))
    assert second.fallback_chain == first.fallback_chain[1:]
    same = ("agent_id", "task_id", "execution_id", "decision_id", "task_complexity")
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    command = FailAssignment(second.assignment_id, second.version, "Overloaded too.")
    _, third = await run(database, fail_assignment, JAMES, command)
    assert (third.model_name, third.estimated_cost, third.fallback_chain) == ("claude-opus-4", None, [])
    last, none = await run(
        database, fail_assignment, ADMIN, FailAssignment(third.assignment_id, third.version, "Out of credit.")
    )
    assert (last.assignment_status, none) == ("failed", None)
    assert await count(database, model_assignments) == 3
    assert await events_of(database, second.assignment_id) == [
        ("recorded", None, "pending", 1),
        ("activated", "pending", "active", 2),
        ("failed", "active", "failed", 3),
    ]


async def test_a_failure_that_is_refused_brings_no_fallback(database: Database) -> None:
    row = await an_assignment(database, fallbacks=[GLM])
    wrong: list[tuple[Any, FailAssignment, type[HubError]]] = [
        (JAMES, FailAssignment(row.assignment_id, row.version, " "), InvalidInput),
        (JAMES, FailAssignment(row.assignment_id, row.version, "x" * 2_001), InvalidInput),
        (JAMES, FailAssignment(row.assignment_id, row.version, "no", ModelUse(tokens_used=-1)), InvalidInput),
        (JAMES, FailAssignment(row.assignment_id, row.version, "no", ModelUse(processing_time=2**63)), InvalidInput),
        (JAMES, FailAssignment(row.assignment_id, row.version, "no", ModelUse(Decimal("Infinity"))), InvalidInput),
        (JAMES, FailAssignment(row.assignment_id, row.version + 1, "no"), StaleVersion),
        (JANE, FailAssignment(row.assignment_id, row.version, "no"), ClaimLost),
        (JAMES, FailAssignment(new_id(), 1, "no"), NotFound),
    ]
    for principal, command, error in wrong:
        with pytest.raises(error):
            await run(database, fail_assignment, principal, command)
    assert await count(database, model_assignments) == 1
    done = await run(database, complete_assignment, JAMES, CompleteAssignment(row.assignment_id, row.version))
    with pytest.raises(IllegalTransition):
        await run(database, fail_assignment, JAMES, FailAssignment(row.assignment_id, done.version, "too late"))
    assert await count(database, model_assignments) == 1


async def test_a_cancelled_assignment_has_no_fallback(database: Database) -> None:
    row = await an_assignment(database, fallbacks=[GLM])
    command = CancelAssignment(row.assignment_id, row.version, "the task is gone")
    cancelled = await run(database, cancel_assignment, JAMES, command)
    assert (cancelled.assignment_status, cancelled.failure_reason) == ("cancelled", None)
    found = await row_of(database, event_log, entity_id=str(row.assignment_id), event_type="cancelled")
    assert found.detail["reason"] == "the task is gone"
    assert found.detail["agent_id"] == "james-dev"
    with pytest.raises(IllegalTransition):
        await run(database, cancel_assignment, JAMES, CancelAssignment(row.assignment_id, cancelled.version))
    assert await count(database, model_assignments) == 1


async def test_a_planned_assignment_is_cancelled_too(database: Database) -> None:
    row = await an_assignment(database, assignment_status=AssignmentStatus.PENDING)
    cancelled = await run(database, cancel_assignment, JAMES, CancelAssignment(row.assignment_id, 1))
    assert cancelled.assignment_status == "cancelled"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0.1234565", "0.123457"),
        ("0.1234564999", "0.123456"),
        ("0.0000004", "0"),
        ("-0", "0"),
        ("99999999.999999", "99999999.999999"),
    ],
)
async def test_costs_are_rounded_to_a_millionth(database: Database, given: str, kept: str) -> None:
    chain = [ModelChoice(Provider.ZAI_GLM, "m", Decimal(given))]
    row = await an_assignment(database, estimated_cost=Decimal(given), fallbacks=chain)
    assert row.estimated_cost == Decimal(kept)
    assert Decimal(row.fallback_chain[0]["estimated_cost"]) == Decimal(kept)
    assert not row.fallback_chain[0]["estimated_cost"].startswith("-")


async def test_an_agent_may_say_that_it_fell_back_by_itself(database: Database) -> None:
    row = await an_assignment(database, assignment_reason=AssignmentReason.FALLBACK)
    assert (row.assignment_reason, row.fallback_of, row.fallback_chain) == ("fallback", None, [])
