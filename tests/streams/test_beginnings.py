"""How a stream begins: with a snapshot, after a cursor, or not at all."""

from typing import Any

import pytest
from sqlalchemy import text

from app.domain.agents import AgentStatus
from app.domain.principals import Principal, Role
from app.live.cursor import DatabaseIdentity, encode_cursor
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.services.agents import SetAgentStatus, set_agent_status
from db.queries.events import Position
from graphql_schema.streams import snapshots
from tests.live.events import eventually
from tests.services.makers import ADMIN, a_gate, a_running_task, a_task, an_agent, an_execution, run
from tests.streams.conftest import Live
from tests.streams.listening import listen

SNAPSHOT = """subscription ($after: Cursor) { taskChanged(snapshot: true, after: $after) {
    cursor eventType version actor toStatus task { title status } } }"""


async def test_a_snapshot_then_changes(live: Live) -> None:
    for number in range(3):
        await a_task(live.database, f"Task {number}")
    await live.settled()
    listener = await listen(live.streams, SNAPSHOT)
    shown = await listener.take(3)
    assert [(each["eventType"], each["version"], each["actor"]) for each in shown] == [("snapshot", 1, "hub")] * 3
    assert [each["task"]["title"] for each in shown] == ["Task 0", "Task 1", "Task 2"]
    await a_task(live.database, "Task 3")
    (change,) = await listener.take(1)
    assert (change["eventType"], change["task"]["title"]) == ("created", "Task 3")
    # the last of the snapshot can be resumed from, and so can the change
    resumed = await listen(live.streams, SNAPSHOT, after=shown[-1]["cursor"])
    assert await resumed.take(1) == [change]
    # those before it cannot: whoever has one has not seen all that was there
    early = await listen(live.streams, SNAPSHOT, after=shown[0]["cursor"])
    assert [error["extensions"]["code"] for error in await early.refusal()] == ["RESYNC_REQUIRED"]


async def test_what_the_snapshot_shows_is_not_told_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes between the moment from which the stream follows and the moment at which the snapshot is read."""
    await an_agent(live.database)
    task = await a_task(live.database)
    await live.settled()
    read = snapshots.Snapshot.read.__func__  # type: ignore[attr-defined]

    async def late(cls: Any, *arguments: Any) -> Any:
        await a_running_task(live.database, title="Another")
        found = await read(cls, *arguments)
        await a_task(live.database, "After")
        return found

    monkeypatch.setattr(snapshots.Snapshot, "read", classmethod(late))
    listener = await listen(live.streams, SNAPSHOT)
    told = await listener.take(3)
    assert [(each["eventType"], each["version"], each["task"]["title"]) for each in told] == [
        ("snapshot", task.version, "Build it"),
        ("snapshot", 3, "Another"),
        ("created", 1, "After"),
    ]


async def test_what_the_snapshot_shows_is_not_told_again_when_the_log_comes_to_it_late(live: Live) -> None:
    """The snapshot shows what is committed; the log stands still before an older transaction that still writes."""
    await an_agent(live.database)
    await live.settled()
    async with live.database.engine.begin() as older:
        await older.execute(text("SELECT pg_current_xact_id()"))
        await a_running_task(live.database, title="Shown")
        listener = await listen(live.streams, SNAPSHOT)
        (shown,) = await listener.take(1)
        await eventually(lambda: live.streams.members == 1)
        await a_task(live.database, "After")
    (after,) = await listener.take(1)
    assert [(each["eventType"], each["version"], each["task"]["title"]) for each in (shown, after)] == [
        ("snapshot", 3, "Shown"),
        ("created", 1, "After"),
    ]


async def test_an_empty_snapshot(live: Live) -> None:
    listener = await listen(live.streams, SNAPSHOT)
    await eventually(lambda: not live.streams._streams or live.streams.members == 1)
    await a_task(live.database)
    assert [each["eventType"] for each in await listener.take(1)] == ["created"]


async def test_a_snapshot_is_narrowed_as_the_stream_is(live: Live) -> None:
    await an_agent(live.database)
    execution = await an_execution(live.database)
    await a_running_task(live.database, title="Held")
    await a_task(live.database, "Free")
    await a_task(live.database, "Of the execution", execution_id=execution.execution_id)
    gate = await a_gate(live.database, execution.execution_id)

    async def titles(arguments: str, number: int) -> list[str]:
        query = f"subscription {{ taskChanged(snapshot: true, {arguments}) {{ task {{ title }} }} }}"
        listener = await listen(live.streams, query)
        return [each["task"]["title"] for each in await listener.take(number)]

    assert await titles('agentId: "james-dev"', 1) == ["Held"]
    assert await titles(f'executionId: "{execution.execution_id}"', 1) == ["Of the execution"]
    assert await titles("filter: {status: {eq: PENDING}}", 2) == ["Free", "Of the execution"]
    query = """subscription ($id: ID) { qualityGateChanged(snapshot: true, executionId: $id) {
        qualityGate { gateId } } }"""
    gates = await listen(live.streams, query, id=str(execution.execution_id))
    assert await gates.take(1) == [{"qualityGate": {"gateId": str(gate.gate_id)}}]
    query = "subscription ($id: ID) { workflowProgress(snapshot: true, executionId: $id) { eventType } }"
    one = await listen(live.streams, query, id=str(execution.execution_id))
    assert await one.take(1) == [{"eventType": "snapshot"}]


async def test_a_snapshot_that_is_too_large_is_refused(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_MAX", 2)
    for _ in range(3):
        await a_task(live.database)
    listener = await listen(live.streams, SNAPSHOT)
    (error,) = await listener.refusal()
    assert error["extensions"] == {"code": "INVALID_INPUT", "field": "snapshot"}
    assert error["message"].startswith("The snapshot has more than 2 objects.")
    assert live.streams.members == 0


FILTERED = """subscription { agentStateChanged(filter: {status: {in: [ERROR, OFFLINE]}}) {
    eventType agent { agentId status } } }"""


async def test_a_filter_is_judged_on_what_the_payload_shows(live: Live) -> None:
    listener = await listen(live.streams, FILTERED)
    for name in ("james-dev", "alex-qa"):
        await an_agent(live.database, name)
    await run(live.database, set_agent_status, ADMIN, SetAgentStatus("alex-qa", AgentStatus.ERROR, 1))
    assert await listener.take(1) == [
        {"eventType": "status_changed", "agent": {"agentId": "alex-qa", "status": "ERROR"}}
    ]
    assert listener.payloads == []


async def test_a_filter_through_relations_and_variables(live: Live) -> None:
    query = """subscription ($filter: TaskFilter) { taskChanged(filter: $filter) { eventType task { title } } }"""
    await an_agent(live.database)
    held = await listen(live.streams, query, filter={"assignedAgent": {"agentId": {"eq": "james-dev"}}})
    every = await listen(live.streams, query, filter=None)
    await a_task(live.database, "Free")
    await a_running_task(live.database, title="Held")
    assert [each["task"]["title"] for each in await every.take(4)] == ["Free", "Held", "Held", "Held"]
    assert [each["task"]["title"] for each in await held.take(2)] == ["Held", "Held"]
    assert live.streams.streams == 2


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ('subscription { taskChanged(after: "x") { cursor } }', "INVALID_INPUT", "after"),
        ("subscription { taskChanged(minInterval: 0) { cursor } }", "INVALID_INPUT", "minInterval"),
        ("subscription { taskChanged(minInterval: 60001) { cursor } }", "INVALID_INPUT", "minInterval"),
        ('subscription { taskChanged(taskId: "x") { cursor } }', "INVALID_INPUT", "taskId"),
        (
            "subscription { taskChanged(filter: {title: {eq: null}}) { cursor } }",
            "INVALID_INPUT",
            "taskChanged.filter.title.eq",
        ),
        (
            "subscription { taskChanged { task { dependencies(first: 0) { totalCount } } } }",
            "INVALID_INPUT",
            "taskChanged.task.dependencies.first",
        ),
        ("subscription { taskChanged @skip(if: true) { cursor } }", "INVALID_INPUT", None),
    ],
)
async def test_wrong_arguments_are_refused_before_a_stream_begins(
    live: Live, query: str, code: str, field: str | None
) -> None:
    listener = await listen(live.streams, query)
    (error,) = await listener.refusal()
    assert (error["extensions"]["code"], error["extensions"].get("field")) == (code, field)
    await listener.leave()
    assert (live.streams.streams, live.tail.followers) == (0, 0)


@pytest.mark.parametrize(
    "query",
    [
        "subscription { nothing { cursor } }",
        "subscription { taskChanged { cursor ",
        "subscription { taskChanged { cursor } agentStateChanged { cursor } }",
        "subscription ($n: Int!) { taskChanged(minInterval: $n) { cursor } }",
        "subscription A { taskChanged { cursor } } subscription B { taskChanged { eventType } }",
    ],
)
async def test_what_does_not_validate_is_refused(live: Live, query: str) -> None:
    listener = await listen(live.streams, query)
    assert len(await listener.refusal()) >= 1
    assert live.streams.streams == 0


async def test_a_cursor_of_another_database_needs_a_new_start(live: Live) -> None:
    position = Position(1, 1, live.tail.position.created_at)
    foreign = encode_cursor(DatabaseIdentity(1, 1), position)
    listener = await listen(live.streams, SNAPSHOT, after=foreign)
    assert [error["extensions"]["code"] for error in await listener.refusal()] == ["RESYNC_REQUIRED"]


async def test_tokens_are_told_to_administrators_only(live: Live) -> None:
    query = "subscription { events { aggregate } }"
    admin = await listen(live.streams, query)
    viewer = await listen(live.streams, query, principal=Principal("vera", Role.VIEWER))
    await run(live.database, create_token, ADMIN, CreateToken("t", Role.VIEWER, new_secret()))
    await a_task(live.database)
    assert await admin.take(2) == [{"aggregate": "API_TOKEN"}, {"aggregate": "TASK"}]
    assert await viewer.take(1) == [{"aggregate": "TASK"}]
