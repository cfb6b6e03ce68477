"""Decisions: what they refer to, the gates that they ask for, evidence out of the metrics, notes, erasure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.agents import AgentRole
from app.domain.errors import Blocked, ClaimLost, HubError, IllegalTransition, InvalidInput, NotFound, StaleVersion
from app.domain.ids import new_id
from app.domain.quality_gates import GateType
from app.security.sealing import Erased
from app.services.decisions import (
    AnnotateDecision,
    EraseDecision,
    annotate_decision,
    erase_decision,
    record_decision,
)
from app.services.evidence import Evidence
from app.services.gate_creation import CreateGate
from app.services.metrics import Measurement, record_metrics
from app.services.workflows import CancelWorkflow, cancel_workflow
from db.session import Database
from db.tables.decisions import decision_evidence, decisions
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.services.deciding import JOHN, a_decision, claim_and_start
from tests.services.makers import (
    ADMIN,
    SEALER,
    a_request,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

NOW = datetime.now(UTC)
HOUR: dict[str, Any] = {"interval_start": NOW - timedelta(hours=1), "interval_end": NOW}
A_GATE: dict[str, Any] = {"gate_name": "Design", "gate_type": GateType.TECHNICAL_REVIEW}


async def refused(database: Database, changes: dict[str, Any], error: type[HubError]) -> HubError:
    """The error with which a decision is refused; nothing of it may be left."""
    tables = (decisions, decision_evidence, quality_gates, event_log)
    before = [await count(database, table) for table in tables]
    with pytest.raises(error) as caught:
        await run(database, record_decision, JOHN, a_decision(**changes), SEALER)
    assert [await count(database, table) for table in tables] == before
    return caught.value


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"execution_id": new_id()}, "workflow execution", "input.executionId"),
        ({"task_id": new_id()}, "task", "input.taskId"),
        ({"evidence": [Evidence(**HOUR, snapshot={}, agent_id="no-body")]}, "agent", "input.evidence.0.agentId"),
        (
            {"evidence": [Evidence(**HOUR, execution_id=new_id())]},
            "workflow execution",
            "input.evidence.0.executionId",
        ),
        (
            {"quality_gates": [CreateGate(new_id(), **A_GATE)]},
            "workflow execution",
            "input.qualityGates.0.workflowExecutionId",
        ),
    ],
)
async def test_what_a_decision_refers_to_must_exist(
    database: Database, changes: dict[str, Any], kind: str, field: str
) -> None:
    error = await refused(database, changes, NotFound)
    assert error.field == field
    assert error.message.startswith(f"There is no {kind} ")


WRONG: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "assignments that are no object's": (lambda _: {"agent_assignments": {"james-dev": 3}}, "agentAssignments"),
    "an assignment to nobody": (lambda _: {"agent_assignments": {"": "build"}}, "agentAssignments"),
    "resources too deep": (lambda _: {"resource_optimization": {"a": nested(40)}}, "resourceOptimization"),
    "a context with too large an integer": (lambda _: {"context_data": [2**63]}, "contextData"),
    "evidence of nobody": (lambda _: {"evidence": [Evidence(**HOUR)]}, "evidence.0"),
    "an agent that cannot be": (lambda _: {"evidence": [Evidence(**HOUR, agent_id="x\x00")]}, "evidence.0.agentId"),
    "an interval that ends before it starts": (
        lambda _: {"evidence": [Evidence(NOW, NOW - timedelta(seconds=1), {}, "john-pm")]},
        "evidence.0.intervalEnd",
    ),
    "figures older than the metrics": (
        lambda _: {"evidence": [Evidence(NOW - timedelta(days=91), NOW, None, "john-pm")]},
        "evidence.0.intervalStart",
    ),
    "figures of the future": (
        lambda _: {"evidence": [Evidence(NOW, datetime.now(UTC) + timedelta(minutes=10), None, "john-pm")]},
        "evidence.0.intervalEnd",
    ),
    "too much evidence": (lambda _: {"evidence": [Evidence(**HOUR, snapshot=1, agent_id="john-pm")] * 101}, "evidence"),
    "a gate without a name": (
        lambda execution: {"quality_gates": [CreateGate(execution, " ", GateType.SECURITY_CHECK)]},
        "qualityGates.0.gateName",
    ),
    "a gate's criteria": (
        lambda execution: {
            "quality_gates": [
                CreateGate(execution, **A_GATE),
                CreateGate(execution, **A_GATE, validation_criteria={"verdict_by": "nobody"}),
            ]
        },
        "qualityGates.1.validationCriteria",
    ),
    "a reviewer without a name": (
        lambda execution: {"quality_gates": [CreateGate(execution, **A_GATE, reviewers=["quinn-qa", ""])]},
        "qualityGates.0.reviewers",
    ),
    "too many gates": (
        lambda execution: {"quality_gates": [CreateGate(execution, **A_GATE)] * 51},
        "qualityGates",
    ),
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_told_with_its_field(database: Database, name: str) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await an_execution(database)
    changes, field = WRONG[name]
    error = await refused(database, changes(execution.execution_id), InvalidInput)
    assert error.field == f"input.{field}"


async def test_a_decision_makes_the_gates_that_it_asks_for(database: Database) -> None:
    await an_agent(database, "quinn-qa", AgentRole.QA)
    execution, other = await an_execution(database), await an_execution(database, "other")
    gates = [
        CreateGate(execution.execution_id, "Design", GateType.TECHNICAL_REVIEW, {"verdict_by": "human"}),
        CreateGate(other.execution_id, "Safety", GateType.SECURITY_CHECK, reviewers=["quinn-qa", "mary", "quinn-qa"]),
    ]
    row = await run(database, record_decision, JOHN, a_decision(quality_gates=gates), SEALER)
    design = await row_of(database, quality_gates, gate_name="Design")
    safety = await row_of(database, quality_gates, gate_name="Safety")
    assert (design.approval_status, design.phase, design.version) == ("pending", None, 1)
    assert design.validation_criteria == {"verdict_by": "human"}
    assert (safety.approval_status, safety.workflow_execution_id) == ("in_review", other.execution_id)
    assert design.requested_by_decision_id == safety.requested_by_decision_id == row.decision_id
    assert await events_of(database, design.gate_id) == [("created", None, "pending", 1)]
    assert await events_of(database, safety.gate_id) == [
        ("created", None, "pending", 1),
        ("opened", "pending", "in_review", 2),
    ]
    asked = await row_of(database, gate_reviewers, gate_id=safety.gate_id, reviewer="quinn-qa")
    named = await row_of(database, gate_reviewers, gate_id=safety.gate_id, reviewer="mary")
    assert (asked.agent_id, named.agent_id) == ("quinn-qa", None)
    for known in (execution, other):
        woken = await row_of(database, workflow_executions, execution_id=known.execution_id)
        assert woken.wake_seq == known.wake_seq + 1


async def test_an_answer_to_a_request_may_ask_for_gates_too(database: Database) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await an_execution(database)
    request = await a_request(database, "decision", execution.execution_id)
    running = await claim_and_start(database, "john-pm", request.task_id)
    answer = a_decision(
        task_id=request.task_id,
        expected_version=running.version,
        quality_gates=[CreateGate(execution.execution_id, **A_GATE)],
    )
    row = await run(database, record_decision, JOHN, answer, SEALER)
    gate = await row_of(database, quality_gates, workflow_execution_id=execution.execution_id)
    assert gate.requested_by_decision_id == row.decision_id
    assert (await row_of(database, tasks, task_id=request.task_id)).status == "completed"


async def test_an_execution_that_has_ended_takes_no_gate(database: Database) -> None:
    execution = await an_execution(database)
    await run(database, cancel_workflow, ADMIN, CancelWorkflow(execution.execution_id, 1, "enough"))
    error = await refused(database, {"quality_gates": [CreateGate(execution.execution_id, **A_GATE)]}, Blocked)
    assert "is CANCELLED" in error.message


async def measured(database: Database, agent_id: str | None, minutes: float, **figures: Any) -> None:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    await run(database, record_metrics, ADMIN, [Measurement(at, agent_id, **figures)])


async def test_figures_that_are_not_given_are_computed_from_the_metrics(database: Database) -> None:
    await an_agent(database, "james-dev")
    await an_agent(database, "quinn-qa")
    execution = await an_execution(database)
    here = execution.execution_id
    await measured(database, "james-dev", 5, cpu_usage=Decimal("10.01"), active_sessions=1, execution_id=here)
    await measured(database, "james-dev", 4, cpu_usage=Decimal("10.02"), memory_usage=Decimal("99999999999"))
    await measured(database, "james-dev", 3, cpu_usage=Decimal("10.02"), active_sessions=4)
    await measured(database, "quinn-qa", 3, cpu_usage=Decimal(90), execution_id=here)
    await measured(database, "james-dev", 200, cpu_usage=Decimal(99))
    now = datetime.now(UTC)
    hour = (now - timedelta(hours=1), now + timedelta(minutes=4))
    evidence = [
        Evidence(*hour, agent_id="james-dev"),
        Evidence(*hour, {"given": True}, "james-dev"),
        Evidence(*hour, execution_id=here),
        Evidence(*hour, agent_id="james-dev", execution_id=here),
        Evidence(now - timedelta(hours=1), now - timedelta(minutes=30), agent_id="james-dev"),
    ]
    row = await run(database, record_decision, JOHN, a_decision(evidence=evidence), SEALER)
    statement = decision_evidence.select().where(decision_evidence.c.decision_id == row.decision_id)
    kept = (await database.transact(lambda session: session.execute(statement.order_by("evidence_id")))).all()
    cpu = {"min": 10.01, "avg": 10.0167, "max": 10.02}
    assert [one.snapshot for one in kept] == [
        {
            "count": 3,
            "cpu_usage": cpu,
            "memory_usage": {"min": 99999999999, "avg": 99999999999, "max": 99999999999},
            "active_sessions": {"min": 1, "avg": 2.5, "max": 4},
        },
        {"given": True},
        {
            "count": 2,
            "cpu_usage": {"min": 10.01, "avg": 50.005, "max": 90},
            "active_sessions": {"min": 1, "avg": 1, "max": 1},
        },
        {
            "count": 1,
            "cpu_usage": {"min": 10.01, "avg": 10.01, "max": 10.01},
            "active_sessions": {"min": 1, "avg": 1, "max": 1},
        },
        {"count": 0},
    ]
    # what was computed tells the interval of which it is; what was given stays as it was
    assert kept[0].interval_end == kept[2].interval_end < hour[1]
    assert kept[0].interval_end >= now
    assert kept[1].interval_end == hour[1]


async def test_all_evidence_is_computed_in_one_statement(database: Database) -> None:
    await an_agent(database, "james-dev")
    asked: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    evidence = [Evidence(**HOUR, agent_id="james-dev")] * 100
    await run(database, record_decision, JOHN, a_decision(evidence=evidence), SEALER)
    assert sum("resource_metrics" in statement for statement in asked) == 1
    assert await count(database, decision_evidence) == 100


async def test_figures_of_too_many_measurements_are_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.evidence.MEASUREMENTS_MAX", 4)
    await an_agent(database, "james-dev")
    for minutes in (3, 2, 1):
        await measured(database, "james-dev", minutes, cpu_usage=Decimal(1))
    hour = (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    one, given = Evidence(*hour, agent_id="james-dev"), Evidence(*hour, {}, "james-dev")
    await run(database, record_decision, JOHN, a_decision(evidence=[given, one]), SEALER)
    # shared between two pieces that are computed, four measurements are two for each
    error = await refused(database, {"evidence": [given, one, one]}, InvalidInput)
    assert error.field == "input.evidence.1"
    assert error.message.startswith("evidence.1 rests on more than 2 measurements")


async def test_notes_are_added_later_and_their_version_is_compared(database: Database) -> None:
    row = await run(database, record_decision, JOHN, a_decision(), SEALER)
    noted = await run(database, annotate_decision, JOHN, AnnotateDecision(row.decision_id, 1, "Ask earlier."))
    assert (noted.learning_notes, noted.version, noted.outcome) == ("Ask earlier.", 2, row.outcome)
    with pytest.raises(StaleVersion):
        await run(database, annotate_decision, JOHN, AnnotateDecision(row.decision_id, 1, "Ask later."))
    with pytest.raises(InvalidInput):
        await run(database, annotate_decision, JOHN, AnnotateDecision(row.decision_id, 2, "x" * 100_001))
    with pytest.raises(NotFound) as missing:
        await run(database, annotate_decision, JOHN, AnnotateDecision(new_id(), 1, "Nobody's."))
    assert missing.value.field == "input.decisionId"
    cleared = await run(database, annotate_decision, JOHN, AnnotateDecision(row.decision_id, 2, ""))
    assert (cleared.learning_notes, cleared.version) == ("", 3)
    assert await events_of(database, row.decision_id) == [
        ("recorded", None, None, 1),
        ("annotated", None, None, 2),
        ("annotated", None, None, 3),
    ]


async def test_an_erased_decision_cannot_be_opened_again_by_anybody(database: Database) -> None:
    row = await run(database, record_decision, JOHN, a_decision(), SEALER)
    with pytest.raises(InvalidInput):
        await run(database, erase_decision, ADMIN, EraseDecision(row.decision_id, 1, " "))
    with pytest.raises(StaleVersion):
        await run(database, erase_decision, ADMIN, EraseDecision(row.decision_id, 2, "asked to"))
    erased = await run(database, erase_decision, ADMIN, EraseDecision(row.decision_id, 1, "asked to"))
    assert (erased.sealed_key, erased.version, erased.outcome) == (None, 2, row.outcome)
    with pytest.raises(Erased):
        SEALER.open(None, erased.context_data_sealed, "decisions", "context_data", str(row.decision_id))
    with pytest.raises(IllegalTransition, match="is ERASED") as again:
        await run(database, erase_decision, ADMIN, EraseDecision(row.decision_id, 2, "asked to"))
    assert again.value.allowed == ()
    with pytest.raises(StaleVersion):
        await run(database, erase_decision, ADMIN, EraseDecision(row.decision_id, 1, "asked to"))
    assert await events_of(database, row.decision_id) == [("recorded", None, None, 1), ("erased", None, None, 2)]


async def test_the_holder_of_another_token_does_not_answer_the_request(database: Database) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await an_execution(database)
    request = await a_request(database, "decision", execution.execution_id)
    await claim_and_start(database, "john-pm", request.task_id)
    answer = a_decision(task_id=request.task_id, quality_gates=[CreateGate(execution.execution_id, **A_GATE)])
    with pytest.raises(ClaimLost):
        await run(database, record_decision, agent_principal("jane-pm"), answer, SEALER)
    assert await count(database, quality_gates) == 0
