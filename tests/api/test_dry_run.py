"""A dry run tells what would happen, or what blocks it, and leaves nothing behind."""

from typing import Any

from app.domain.principals import Role
from db.session import Database
from db.tables.access import idempotency_keys
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_running_task, a_task, an_agent, count, events_of, row_of

DRY = """
    dryRun { wouldSucceed changeCount changes { aggregate entityId eventType fromStatus toStatus version detail } }
    task { status version }
"""


async def rehearsed(database: Database, client: Client, mutation: str, **fields: Any) -> dict[str, Any]:
    """The payload of a dry run, which must leave no row, event or key behind."""
    before = [await count(database, table) for table in (tasks, event_log, idempotency_keys)]
    payload = await client.do(mutation, DRY, dryRun=True, **fields)
    assert [await count(database, table) for table in (tasks, event_log, idempotency_keys)] == before
    return payload


async def test_what_would_happen_is_what_then_happens(database: Database, admin: Client) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    wanted = {"taskId": str(task.task_id), "expectedVersion": task.version, "result": {"ok": True}}
    payload = await rehearsed(database, admin, "taskComplete", **wanted)
    assert payload["userErrors"] == []
    assert payload["task"] == {"status": "RUNNING", "version": task.version}
    told = payload["dryRun"]
    assert (told["wouldSucceed"], told["changeCount"]) == (True, 2)
    done, follows = told["changes"]
    assert (done["aggregate"], done["entityId"], done["eventType"]) == ("TASK", str(task.task_id), "completed")
    assert (done["fromStatus"], done["toStatus"], done["version"]) == ("RUNNING", "COMPLETED", task.version + 1)
    assert (follows["entityId"], follows["fromStatus"], follows["toStatus"]) == ("james-dev", "BUSY", "IDLE")

    assert (await admin.do("taskComplete", DRY, **wanted))["dryRun"] is None
    assert (await events_of(database, task.task_id))[-1] == ("completed", "running", "completed", done["version"])
    assert (await events_of(database, "james-dev"))[-1] == ("status_changed", "busy", "idle", follows["version"])


async def test_what_would_be_made_is_not_shown_as_if_it_were(database: Database, admin: Client) -> None:
    payload = await rehearsed(database, admin, "taskCreate", title="Build it")
    assert payload["task"] is None
    assert [change["eventType"] for change in payload["dryRun"]["changes"]] == ["created"]


async def test_what_blocks_it_is_told_as_by_the_request_itself(database: Database, client_for: MakeClient) -> None:
    admin, viewer = await client_for(), await client_for(Role.VIEWER)
    await an_agent(database)
    task = await a_task(database)
    wanted: dict[str, Any] = {"taskId": str(task.task_id), "expectedVersion": 1}
    blocked = await rehearsed(database, admin, "taskStart", **wanted)
    assert blocked["dryRun"] == {"wouldSucceed": False, "changeCount": 0, "changes": []}
    assert blocked["userErrors"] == (await admin.do("taskStart", **wanted))["userErrors"]
    assert blocked["userErrors"][0]["code"] == "ILLEGAL_TRANSITION"
    refused = await rehearsed(database, viewer, "taskCreate", title="Build it")
    assert (refused["dryRun"]["wouldSucceed"], refused["userErrors"][0]["code"]) == (False, "FORBIDDEN")


async def test_a_dry_run_neither_takes_an_idempotency_key_nor_overlooks_one(database: Database, admin: Client) -> None:
    first = await rehearsed(database, admin, "taskCreate", title="Build it", idempotencyKey="k")
    assert first["dryRun"]["changeCount"] == 1
    made = await admin.do("taskCreate", "task { taskId }", title="Build it", idempotencyKey="k")
    again = await rehearsed(database, admin, "taskCreate", title="Build it", idempotencyKey="k")
    assert again["dryRun"] == {"wouldSucceed": True, "changeCount": 0, "changes": []}
    assert again["task"] == {"status": "PENDING", "version": 1}
    other = await rehearsed(database, admin, "taskCreate", title="Build another", idempotencyKey="k")
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert (await row_of(database, tasks, task_id=made["task"]["taskId"])).version == 1
