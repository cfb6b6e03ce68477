"""Gates whose verdict does not come: their execution ends, or their time is over."""

import pytest
from sqlalchemy import text, update

from app.domain.errors import Blocked
from app.domain.quality_gates import ApprovalStatus
from app.services.gate_changes import ResolveEscalation, resolve_escalation
from app.services.quality_gates import decide_gate
from app.services.workflows import (
    CancelWorkflow,
    FailWorkflow,
    RetryWorkflow,
    cancel_workflow,
    fail_workflow,
    retry_workflow,
)
from app.upkeep.overdue_gates import sweep_overdue_gates
from db.session import Database
from db.tables.quality_gates import quality_gates
from db.tables.workflows import workflow_executions
from tests.services.deciding import a_verdict
from tests.services.makers import ADMIN, SEALER, a_gate, events_of, row_of, run
from tests.services.reviewing import PM, under_review


async def running(database: Database, execution_id: object) -> None:
    """The engine has taken it up."""
    change = update(workflow_executions).where(workflow_executions.c.execution_id == execution_id)
    await database.transact(lambda session: session.execute(change.values(execution_status="running")))


async def test_open_gates_are_closed_with_their_execution_and_reopened_with_its_retry(database: Database) -> None:
    gate = await under_review(database, timeout_seconds=60)
    pending = await a_gate(database, gate.workflow_execution_id)
    decided = await a_gate(
        database, gate.workflow_execution_id, approval_status="rejected", pm_decision="no", phase="x"
    )
    await running(database, gate.workflow_execution_id)
    failed = await run(database, fail_workflow, ADMIN, FailWorkflow(gate.workflow_execution_id, 1, "out of money"))
    for kept in (gate, pending):
        closed = await row_of(database, quality_gates, gate_id=kept.gate_id)
        assert (closed.approval_status, closed.closed_at is not None, closed.due_at) == (
            kept.approval_status, True, None,
        )  # fmt: skip
        assert (await events_of(database, kept.gate_id))[-1][0] == "closed"
    assert (await row_of(database, quality_gates, gate_id=decided.gate_id)).closed_at is None
    with pytest.raises(Blocked, match="holds nothing any more"):
        await run(database, decide_gate, PM, a_verdict(gate, expected_version=gate.version + 1), SEALER)
    await run(database, retry_workflow, ADMIN, RetryWorkflow(gate.workflow_execution_id, failed.version))
    reopened = await row_of(database, quality_gates, gate_id=gate.gate_id)
    assert (reopened.approval_status, reopened.closed_at) == ("in_review", None)
    verdict = a_verdict(reopened, ApprovalStatus.REQUIRES_REVISION)
    assert (await run(database, decide_gate, PM, verdict, SEALER)).approval_status == "requires_revision"


async def test_a_gate_is_closed_once(database: Database) -> None:
    gate = await under_review(database)
    await running(database, gate.workflow_execution_id)
    failed = await run(database, fail_workflow, ADMIN, FailWorkflow(gate.workflow_execution_id, 1, "out of money"))
    command = CancelWorkflow(gate.workflow_execution_id, failed.version, "for good")
    await run(database, cancel_workflow, ADMIN, command)
    assert [event[0] for event in await events_of(database, gate.gate_id)] == ["created", "opened", "closed"]


async def test_a_verdict_that_is_overdue_is_escalated_once_and_still_awaited(database: Database) -> None:
    gate = await under_review(database, timeout_seconds=3600, escalate_to="the leads")
    assert await sweep_overdue_gates(database) == []
    late = "UPDATE quality_gates SET due_at = now() - interval '1 second'"
    await database.transact(lambda session: session.execute(text(late)))
    assert await sweep_overdue_gates(database) == [gate.gate_id]
    assert await sweep_overdue_gates(database) == []
    escalated = await row_of(database, quality_gates, gate_id=gate.gate_id)
    assert (escalated.approval_status, escalated.escalation_required, escalated.escalated_to, escalated.due_at) == (
        "in_review", True, "the leads", None,
    )  # fmt: skip
    assert escalated.escalation_reason == "No verdict came within 3600 seconds."
    assert (await events_of(database, gate.gate_id))[-1] == ("escalated", "in_review", "in_review", 3)
    looked = ResolveEscalation(gate.gate_id, escalated.version, "I look at it now.")
    resolved = await run(database, resolve_escalation, PM, looked)
    assert (resolved.escalated_at, resolved.escalated_to) == (None, None)
    assert await sweep_overdue_gates(database) == []
    decided = await run(database, decide_gate, PM, a_verdict(resolved, ApprovalStatus.REJECTED), SEALER)
    assert decided.approval_status == "rejected"
