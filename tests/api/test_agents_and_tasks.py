"""What is new of agents and tasks over the API: update, retry, cancel, bounded reports, suggestions as texts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.principals import Role
from app.services.tasks import FailTask, fail_task
from db.session import Database
from db.tables.agents import agents
from tests.api.conftest import Client, MakeClient
from tests.services.makers import ADMIN, a_running_task, an_agent, row_of, run

AGENT = "agent { agentName agentRole status capabilities concurrency extensionConfig version }"


async def test_an_agent_changes_itself_but_for_its_role(database: Database, client_for: MakeClient) -> None:
    await an_agent(database)
    james, jane, pm = [
        await client_for(*who) for who in ((Role.AGENT, "james-dev"), (Role.AGENT, "jane-dev"), (Role.PM,))
    ]
    fields = {"agentId": "james-dev", "expectedVersion": 1}
    payload = await james.do(
        "agentUpdate", AGENT, agentName="James", capabilities=["sql"], concurrency=3, extensionConfig={"a": 1}, **fields
    )
    assert payload["agent"] == {
        "agentName": "James", "agentRole": "DEVELOPER", "status": "IDLE", "capabilities": ["sql"], "concurrency": 3,
        "extensionConfig": {"a": 1}, "version": 2,
    }  # fmt: skip
    stale = await james.do("agentUpdate", AGENT, agentName="Jim", **fields)
    assert stale["userErrors"][0]["code"] == "STALE_VERSION"
    assert stale["userErrors"][0]["currentVersion"] == 2
    fields["expectedVersion"] = 2
    for client in (james, jane):
        refused = await client.do("agentUpdate", AGENT, agentRole="QA", **fields)
        assert refused["userErrors"][0]["code"] == "FORBIDDEN"
    dry = await pm.do("agentUpdate", f"{AGENT} dryRun {{ changeCount }}", agentRole="QA", dryRun=True, **fields)
    assert (dry["agent"]["agentRole"], dry["dryRun"]) == ("DEVELOPER", {"changeCount": 1})
    changed = await pm.do("agentUpdate", AGENT, agentRole="QA", **fields)
    assert changed["agent"]["agentRole"] == "QA"


async def test_a_task_is_tried_again_and_given_up_by_those_who_plan(database: Database, client_for: MakeClient) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    failed = await run(database, fail_task, ADMIN, FailTask(task.task_id, task.version, "broken"))
    pm, james = await client_for(Role.PM), await client_for(Role.AGENT, "james-dev")
    fields = {"taskId": str(task.task_id), "expectedVersion": failed.version, "reason": "again"}
    for mutation in ("taskRetry", "taskCancel"):
        assert (await james.do(mutation, **fields))["userErrors"][0]["code"] == "FORBIDDEN"
    retried = await pm.do("taskRetry", "task { status failures version result }", idempotencyKey="k", **fields)
    assert retried["task"] == {"status": "PENDING", "failures": 1, "version": failed.version + 1, "result": None}
    again = await pm.do("taskRetry", "task { status failures version result }", idempotencyKey="k", **fields)
    assert again == retried
    fields["expectedVersion"] = failed.version + 1
    cancelled = await pm.do("taskCancel", "task { status version allowedTransitions }", **fields)
    assert cancelled["task"] == {"status": "CANCELLED", "version": failed.version + 2, "allowedTransitions": []}


async def test_reports_that_are_refused_say_why(database: Database, admin: Client) -> None:
    await an_agent(database)
    now = datetime.now(UTC)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"observedAt": (now - timedelta(days=2)).isoformat()}, "input.observedAt"),
        ({"observedAt": now.isoformat(), "resourceUtilization": {"x": [[1]]}}, "input.resourceUtilization"),
        ({"observedAt": now.isoformat(), "performanceMetrics": [1]}, "input.performanceMetrics"),
    ]
    for fields, field in cases:
        payload = await admin.do("agentReport", agentId="james-dev", **fields)
        assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("INVALID_INPUT", field)]
    taken = await admin.do(
        "agentReport", "agent { resourceUtilization version }", agentId="james-dev", observedAt=now.isoformat(),
        resourceUtilization={"cpu_percent": 1.5},
    )  # fmt: skip
    assert taken["agent"] == {"resourceUtilization": {"cpu_percent": 1.5}, "version": 1}
    assert (await row_of(database, agents, agent_id="james-dev")).version == 1


async def test_suggestions_are_texts(admin: Client) -> None:
    suggested = ["use less", "and \"less\" — 'ü'"]
    now = datetime.now(UTC).isoformat()
    measurements = [{"measurementTime": now, "optimizationSuggestions": suggested}, {"measurementTime": now}]
    await admin.do("resourceMetricsRecord", measurements=measurements)
    seen = await admin.ask("{ resourceMetrics { nodes { optimizationSuggestions } } }")
    assert sorted(node["optimizationSuggestions"] for node in seen["resourceMetrics"]["nodes"]) == [[], suggested]
