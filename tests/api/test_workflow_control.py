"""Steering executions over the API: what comes back typed, what a dry run tells, and what is shown afterwards."""

from typing import Any

import pytest

from app.domain.ids import new_id
from app.domain.principals import Role
from app.domain.workflows import ExecutionStatus
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.session import Database
from db.tables.events import event_log
from db.tables.workflows import workflow_errors, workflow_executions
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_gate, a_running_task, a_task, an_agent, an_execution, count, events_of, row_of

SHOWN = "workflow { executionStatus version completedAt allowedTransitions }"
MUTATIONS = ("workflowPause", "workflowResume", "workflowRetry", "workflowFail")
FIRST_STATUS = {
    "workflowPause": ExecutionStatus.RUNNING,
    "workflowResume": ExecutionStatus.PAUSED,
    "workflowRetry": ExecutionStatus.FAILED,
    "workflowFail": ExecutionStatus.RUNNING,
}


async def an_execution_in(database: Database, status: ExecutionStatus) -> Any:
    """An execution in this status, which is reached from RUNNING."""
    row = await an_execution(database)
    for target in dict.fromkeys((ExecutionStatus.RUNNING, status)):
        row = await database.transact(
            lambda session: transition(session, EXECUTION, row.execution_id, target, target.value, "test")  # noqa: B023
        )
    return row


def asked(mutation: str, execution_id: object, version: int) -> dict[str, Any]:
    fields = {"executionId": str(execution_id), "expectedVersion": version}
    return fields if mutation == "workflowResume" else {**fields, "reason": "because"}


async def refused(database: Database, client: Client, mutation: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The one error of a mutation that must write nothing."""
    before = [await count(database, table) for table in (event_log, workflow_errors)]
    payload = await client.do(mutation, SHOWN, **fields)
    assert [await count(database, table) for table in (event_log, workflow_errors)] == before
    (error,) = payload["userErrors"]
    assert payload["workflow"] is None
    found: dict[str, Any] = error
    return found


async def test_an_execution_is_paused_resumed_failed_and_retried(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    row = await an_execution_in(database, ExecutionStatus.RUNNING)
    version = row.version
    for mutation, status in [
        ("workflowPause", "PAUSED"),
        ("workflowResume", "RUNNING"),
        ("workflowFail", "FAILED"),
        ("workflowRetry", "RUNNING"),
    ]:
        payload = await pm.do(mutation, SHOWN, **asked(mutation, row.execution_id, version))
        assert payload["userErrors"] == []
        version += 1
        shown = payload["workflow"]
        assert (shown["executionStatus"], shown["version"]) == (status, version)
        assert (shown["completedAt"] is None) == (status != "FAILED")
    assert [event[0] for event in await events_of(database, row.execution_id)] == [
        *["started", "running", "paused", "resumed", "error_logged", "failed", "retried"]
    ]


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_what_is_wrong_comes_back_typed(database: Database, admin: Client, mutation: str) -> None:
    row = await an_execution_in(database, FIRST_STATUS[mutation])
    right = asked(mutation, row.execution_id, row.version)
    error = await refused(database, admin, mutation, right | {"expectedVersion": row.version - 1})
    assert (error["code"], error["currentVersion"]) == ("STALE_VERSION", row.version)
    error = await refused(database, admin, mutation, right | {"executionId": str(new_id())})
    assert (error["code"], error["field"]) == ("NOT_FOUND", "input.executionId")
    error = await refused(database, admin, mutation, right | {"executionId": "seven"})
    assert (error["code"], error["field"]) == ("INVALID_INPUT", "input.executionId")
    if mutation != "workflowResume":
        error = await refused(database, admin, mutation, right | {"reason": "x" * 2_001})
        assert (error["code"], error["field"]) == ("INVALID_INPUT", "input.reason")
    await admin.do("workflowCancel", executionId=right["executionId"], expectedVersion=row.version, reason="enough")
    error = await refused(database, admin, mutation, right | {"expectedVersion": row.version + 1})
    assert error["code"] == "ILLEGAL_TRANSITION"
    assert "CANCELLED" in error["message"]


@pytest.mark.parametrize("mutation", ["workflowResume", "workflowRetry"])
async def test_a_running_execution_is_neither_resumed_nor_retried(
    database: Database, admin: Client, mutation: str
) -> None:
    row = await an_execution_in(database, ExecutionStatus.RUNNING)
    error = await refused(database, admin, mutation, asked(mutation, row.execution_id, row.version))
    assert error["code"] == "ILLEGAL_TRANSITION"
    needed = {"workflowResume": "PAUSED", "workflowRetry": "FAILED"}[mutation]
    assert f"is RUNNING; only a {needed} one can be" in error["message"]


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("role", "agent"), [(Role.VIEWER, None), (Role.REVIEWER, None), (Role.AGENT, "james-dev")])
async def test_only_pms_and_admins_steer(
    database: Database, client_for: MakeClient, mutation: str, role: Role, agent: str | None
) -> None:
    row = await an_execution_in(database, FIRST_STATUS[mutation])
    client = await client_for(role, agent)
    error = await refused(database, client, mutation, asked(mutation, row.execution_id, row.version))
    assert error["code"] == "FORBIDDEN"


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_a_dry_run_tells_and_an_idempotency_key_repeats(database: Database, admin: Client, mutation: str) -> None:
    row = await an_execution_in(database, FIRST_STATUS[mutation])
    wanted = asked(mutation, row.execution_id, row.version)
    told = "dryRun { wouldSucceed changes { eventType fromStatus toStatus version } } workflow { version }"
    before = await count(database, event_log)
    dry = await admin.do(mutation, told, dryRun=True, **wanted)
    assert (dry["userErrors"], dry["workflow"]) == ([], {"version": row.version})
    assert dry["dryRun"]["wouldSucceed"]
    assert await count(database, event_log) == before
    assert await row_of(database, workflow_executions, execution_id=row.execution_id) == row
    first = await admin.do(mutation, SHOWN, idempotencyKey="k", **wanted)
    assert first["workflow"]["version"] == row.version + 1
    last = dry["dryRun"]["changes"][-1]
    event = (await events_of(database, row.execution_id))[-1]
    assert event == (last["eventType"], last["fromStatus"].lower(), last["toStatus"].lower(), last["version"])
    assert await admin.do(mutation, SHOWN, idempotencyKey="k", **wanted) == first


async def test_figures_are_typed_and_only_gates_of_what_is_under_way_are_pending(
    database: Database, admin: Client
) -> None:
    await an_agent(database)
    row = await an_execution_in(database, ExecutionStatus.RUNNING)
    await a_running_task(database, execution_id=row.execution_id)
    await a_task(database, execution_id=row.execution_id)
    await a_gate(database, row.execution_id)
    query = """query ($id: ID!) { workflow(executionId: $id) {
        performanceMetrics { tasks { pending running cancelled total } qualityGates { pending total } steps { total }
            attempts failures errors tokensUsed actualCost estimatedCost processingTime modelAssignments }
        pendingApprovals { totalCount } qualityGates { totalCount } } }"""
    shown = (await admin.ask(query, id=str(row.execution_id)))["workflow"]
    assert shown["performanceMetrics"] == {
        "tasks": {"pending": 1, "running": 1, "cancelled": 0, "total": 2},
        "qualityGates": {"pending": 1, "total": 1},
        "steps": {"total": 0},
        "attempts": 1,
        "failures": 0,
        "errors": 0,
        "tokensUsed": 0,
        "actualCost": "0",
        "estimatedCost": "0",
        "processingTime": 0,
        "modelAssignments": 0,
    }
    assert (shown["pendingApprovals"]["totalCount"], shown["qualityGates"]["totalCount"]) == (1, 1)
    for mutation, version, pending in [("workflowFail", row.version, 0), ("workflowRetry", row.version + 1, 1)]:
        await admin.do(mutation, **asked(mutation, row.execution_id, version))
        shown = (await admin.ask(query, id=str(row.execution_id)))["workflow"]
        assert (shown["pendingApprovals"]["totalCount"], shown["qualityGates"]["totalCount"]) == (pending, 1)
    assert shown["performanceMetrics"]["tasks"] == {"pending": 0, "running": 0, "cancelled": 2, "total": 2}
    assert shown["performanceMetrics"]["errors"] == 1
