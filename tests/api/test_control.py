"""Forks, skips, turns and schedules over the API: what comes back typed, and what is shown both ways."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from app.domain.principals import Role
from app.domain.workflows import ExecutionStatus, StepStatus
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.queries.steps import begin_step, end_step
from db.session import Database
from db.tables.workflows import workflow_templates
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_running_task, a_task, a_template, an_agent, an_execution

FORK = """workflow { executionId executionStatus triggerType triggeredBy inputContext
    forkedFrom { stepNumber phase execution { executionId } } forks { totalCount }
    executionPath { nodes { stepNumber phase stepStatus sourceExecution { executionId } } } }"""
SCHEDULE = "schedule { scheduleId scheduleStatus nextRunAt nextRuns version allowedTransitions }"


async def an_execution_under_way(database: Database) -> Any:
    """One step completed, the second begun."""
    row = await an_execution(database)

    async def work(session: Any) -> Any:
        await transition(session, EXECUTION, row.execution_id, ExecutionStatus.RUNNING, "running", "test")
        await begin_step(session, row.execution_id, 1, "plan", 1)
        await end_step(session, row.execution_id, 1, StepStatus.COMPLETED, {"next_phase": "build"})
        await begin_step(session, row.execution_id, 2, "build", 1)

    await database.transact(work)
    return row


async def test_a_fork_is_linked_both_ways(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    row = await an_execution_under_way(database)
    source = str(row.execution_id)
    payload = await pm.do("workflowFork", FORK, executionId=source, step=2, inputContext={"page": 2})
    assert payload["userErrors"] == []
    fork = payload["workflow"]
    forked = fork.pop("executionId")
    assert fork == {
        "executionStatus": "PENDING",
        "triggerType": "MANUAL",
        "triggeredBy": "pm",
        "inputContext": {"page": 2},
        "forkedFrom": {"stepNumber": 2, "phase": "build", "execution": {"executionId": source}},
        "forks": {"totalCount": 0},
        "executionPath": {
            "nodes": [
                {
                    "stepNumber": 1,
                    "phase": "plan",
                    "stepStatus": "COMPLETED",
                    "sourceExecution": {"executionId": source},
                }
            ]
        },
    }
    query = "query ($id: ID!) { workflow(executionId: $id) { forks { nodes { executionId } } forkedFrom { stepId } } }"
    assert (await pm.ask(query, id=source))["workflow"] == {
        "forks": {"nodes": [{"executionId": forked}]},
        "forkedFrom": None,
    }
    refused = await pm.do("workflowFork", FORK, executionId=source, step=3)
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [("INVALID_INPUT", "input.step")]


async def test_what_an_execution_waits_for_is_told(database: Database, client_for: MakeClient) -> None:
    viewer = await client_for(Role.VIEWER)
    # what is changed here is changed past the hub, which learns of it in its own time
    viewer.cached = False
    await an_agent(database)
    row = await an_execution_under_way(database)
    query = "query ($id: ID!) { workflow(executionId: $id) { waitingFor } }"

    async def told() -> Any:
        return (await viewer.ask(query, id=str(row.execution_id)))["workflow"]["waitingFor"]

    assert await told() is None
    await a_running_task(database, execution_id=row.execution_id, title="Build it")
    assert await told() == "1 task under way: Build it"
    await a_task(database, "Test it", execution_id=row.execution_id)
    await a_task(database, "Ship it", execution_id=row.execution_id)
    assert await told() == "1 task under way: Build it; 2 tasks to be taken: Test it, Ship it"
    await database.transact(
        lambda s: transition(s, EXECUTION, row.execution_id, ExecutionStatus.PAUSED, "paused", "test")
    )
    assert await told() == "1 task under way: Build it; 2 tasks to be taken: Test it, Ship it"
    await database.transact(
        lambda s: transition(s, EXECUTION, row.execution_id, ExecutionStatus.CANCELLED, "cancelled", "test")
    )
    assert await told() is None


async def test_turns_are_typed_and_told(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    for name, policy in (("one", "reject"), ("two", "queue")):
        values = {"template_name": name, "template_version": 1, "description": "For a test.",
                  "spec": {"concurrency": {"policy": policy, "key": None, "max": 1}}}  # fmt: skip
        await database.transact(lambda s: s.execute(insert(workflow_templates).values(**values)))  # noqa: B023
    shown = "workflow { executionId queuedAt waitingFor }"
    first = (await pm.do("workflowStart", shown, workflowName="one"))["workflow"]
    assert (first["queuedAt"], first["waitingFor"]) == (None, None)
    (error,) = (await pm.do("workflowStart", shown, workflowName="one"))["userErrors"]
    assert error["code"] == "ALREADY_RUNNING"
    assert first["executionId"] in error["message"]
    await pm.do("workflowStart", shown, workflowName="two")
    waits = [(await pm.do("workflowStart", shown, workflowName="two"))["workflow"] for _ in range(2)]
    assert all(wait["queuedAt"] is not None for wait in waits)
    assert [wait["waitingFor"] for wait in waits] == [
        "its turn, executions before it: 1",
        "its turn, executions before it: 2",
    ]


async def test_a_schedule_over_the_api(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    await a_template(database)
    given = {"scheduleName": "nightly", "workflowName": "plain", "intervalSeconds": 3600}
    made = (await pm.do("scheduleCreate", SCHEDULE, **given))["schedule"]
    assert (made["scheduleStatus"], made["allowedTransitions"]) == ("ACTIVE", ["PAUSED", "ENDED", "DELETED"])
    runs = [datetime.fromisoformat(run) for run in made["nextRuns"]]
    assert len(runs) == 10
    assert runs[0] == datetime.fromisoformat(made["nextRunAt"]) > datetime.now(UTC)
    schedule_id = made["scheduleId"]
    started = (await pm.do("scheduleTrigger", "workflow { executionId }", scheduleId=schedule_id))["workflow"]
    query = """query ($id: ID!) { schedule(scheduleId: $id) { lastExecution { executionId schedule { scheduleName } }
        executions { totalCount } } schedules(filter: {scheduleStatus: {eq: ACTIVE}}) { nodes { scheduleId } } }"""
    assert await pm.ask(query, id=schedule_id) == {
        "schedule": {
            "lastExecution": {**started, "schedule": {"scheduleName": "nightly"}},
            "executions": {"totalCount": 1},
        },
        "schedules": {"nodes": [{"scheduleId": schedule_id}]},
    }
    paused = (await pm.do("schedulePause", SCHEDULE, scheduleId=schedule_id, expectedVersion=1))["schedule"]
    assert (paused["scheduleStatus"], paused["nextRunAt"], paused["nextRuns"]) == ("PAUSED", None, [])
    deleted = (await pm.do("scheduleDelete", SCHEDULE, scheduleId=schedule_id, expectedVersion=2))["schedule"]
    assert deleted["scheduleStatus"] == "DELETED"
    everything = "query ($id: ID!) { schedule(scheduleId: $id) { scheduleStatus } schedules { totalCount } }"
    assert await pm.ask(everything, id=schedule_id) == {
        "schedule": {"scheduleStatus": "DELETED"},
        "schedules": {"totalCount": 0},
    }


async def test_only_who_may_run_workflows_may_schedule_them(database: Database, client_for: MakeClient) -> None:
    await a_template(database)
    client: Client = await client_for(Role.VIEWER)
    payload = await client.do(
        "scheduleCreate", SCHEDULE, scheduleName="nightly", workflowName="plain", intervalSeconds=60
    )
    assert [error["code"] for error in payload["userErrors"]] == ["FORBIDDEN"]
