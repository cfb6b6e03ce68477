"""The hub's own subscriptions: one payload an event, filtered, in order, resumed by cursor."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.domain.agents import AgentStatus
from app.domain.events import Aggregate
from app.domain.ids import new_id
from app.services.agents import SetAgentStatus, set_agent_status
from app.services.metrics import Measurement, record_metrics
from app.services.tasks import ReportTaskProgress, report_progress
from tests.live.events import eventually, write
from tests.live.serving import ServedHub, serve_hub
from tests.services.makers import ADMIN, a_gate, a_running_task, a_task, an_agent, an_execution, run

CHANGE = "cursor eventType occurredAt actor fromStatus toStatus version detail"


@pytest.fixture
async def hub(database_url: str) -> AsyncIterator[ServedHub]:
    async with serve_hub(database_url) as hub:
        yield hub


class Subscriber:
    """One socket; `follow` starts an operation on it, `take` collects payloads."""

    def __init__(self, hub: ServedHub, connection: ClientConnection) -> None:
        self._hub = hub
        self._connection = connection
        self._followed = 0

    async def follow(self, query: str, **variables: Any) -> None:
        """Subscribe, and return once what happens from now on will come."""
        before = self._hub.streams.members
        self._followed += 1
        await self.subscribe(str(self._followed), query, variables)
        await eventually(lambda: self._hub.streams.members > before)

    async def subscribe(self, operation_id: str, query: str, variables: dict[str, Any]) -> None:
        payload = {"query": query, "variables": variables}
        message = {"type": "subscribe", "id": operation_id, "payload": payload}
        await self._connection.send(orjson.dumps(message).decode())

    async def take(self, number: int) -> list[dict[str, Any]]:
        taken = []
        for _ in range(number):
            message = await self.hear()
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message
            (payload,) = message["payload"]["data"].values()
            taken.append(payload)
        return taken

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = orjson.loads(await self._connection.recv())
        return message

    async def quiet(self, seconds: float = 0.3) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._connection.recv()
                return False
        return True


@contextlib.asynccontextmanager
async def subscriber(hub: ServedHub) -> AsyncIterator[Subscriber]:
    async with connect(hub.ws, subprotocols=[Subprotocol("graphql-transport-ws")]) as connection:
        await connection.send(
            orjson.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {hub.secret}"}}).decode()
        )
        assert orjson.loads(await connection.recv()) == {"type": "connection_ack"}
        yield Subscriber(hub, connection)


async def settled(hub: ServedHub) -> None:
    """Return once all that was written is behind the tail, so that a subscription begins after it."""

    async def is_behind() -> bool:
        last = await hub.database.fetch_value("SELECT coalesce(max(id), 0) FROM event_log")
        return hub.tail._position is not None and bool(hub.tail._position.id >= last)

    await eventually(is_behind)


async def test_a_task_from_claim_to_progress(hub: ServedHub) -> None:
    await an_agent(hub.database)
    await settled(hub)
    async with subscriber(hub) as client:
        await client.follow(
            f"subscription {{ taskChanged {{ {CHANGE} task {{ taskId title status assignedAgent {{ agentId }} }} }} }}"
        )
        task = await a_running_task(hub.database, title="Build it")
        await run(hub.database, report_progress, ADMIN, ReportTaskProgress(task.task_id, "half", 50.0))
        changes = await client.take(4)
        assert await client.quiet()
    assert [change["eventType"] for change in changes] == ["created", "claimed", "started", "progressed"]
    assert [(change["fromStatus"], change["toStatus"]) for change in changes] == [
        (None, "PENDING"),
        ("PENDING", "ASSIGNED"),
        ("ASSIGNED", "RUNNING"),
        (None, None),
    ]
    assert [change["version"] for change in changes] == [1, 2, 3, None]
    assert {change["actor"] for change in changes} == {"root"}
    cursors = [change["cursor"] for change in changes]
    assert cursors == sorted(set(cursors))
    assert changes[3]["detail"]["message"] == "half"
    assert changes[3]["task"] == {
        "taskId": str(task.task_id),
        "title": "Build it",
        "status": "RUNNING",
        "assignedAgent": {"agentId": "james-dev"},
    }
    occurred = datetime.fromisoformat(changes[0]["occurredAt"])
    assert occurred.utcoffset() == datetime.now(UTC).utcoffset()


async def test_tasks_are_filtered_by_task_execution_and_agent(hub: ServedHub) -> None:
    database = hub.database
    execution = await an_execution(database)
    await an_agent(database)
    await an_agent(database, "alex-qa")
    mine = await a_task(database, execution_id=execution.execution_id)
    await settled(hub)
    query = (
        "subscription ($task: ID, $execution: ID, $agent: ID) "
        "{ taskChanged(taskId: $task, executionId: $execution, agentId: $agent) { eventType task { taskId } } }"
    )
    async with subscriber(hub) as one, subscriber(hub) as theirs, subscriber(hub) as held, subscriber(hub) as all_of:
        await one.follow(query, task=str(mine.task_id).upper())
        await theirs.follow(query, execution=execution.execution_id.hex, task=None)
        await held.follow(query, agent="alex-qa")
        await all_of.follow(query)
        other = await a_running_task(database, "alex-qa")
        await run(database, report_progress, ADMIN, ReportTaskProgress(other.task_id, "going", None))
        within = await a_task(database, execution_id=execution.execution_id)
        seen = [(change["eventType"], change["task"]["taskId"]) for change in await all_of.take(5)]
        assert seen == [
            *((event, str(other.task_id)) for event in ("created", "claimed", "started", "progressed")),
            ("created", str(within.task_id)),
        ]
        assert [change["eventType"] for change in await held.take(3)] == ["claimed", "started", "progressed"]
        assert [change["task"]["taskId"] for change in await theirs.take(1)] == [str(within.task_id)]
        assert await one.quiet()
        assert await held.quiet(0.05)
        assert await theirs.quiet(0.05)


async def test_agents_workflows_gates_and_metrics(hub: ServedHub) -> None:
    database = hub.database
    queries = {
        "agents": f"subscription {{ agentStateChanged {{ {CHANGE} agent {{ agentId status }} }} }}",
        "workflows": f"subscription {{ workflowProgress {{ {CHANGE} execution {{ executionId executionStatus }} }} }}",
        "gates": f"subscription {{ qualityGateChanged {{ {CHANGE} qualityGate {{ gateId gateName }} }} }}",
        "metrics": f"subscription {{ resourceMetricsRecorded {{ {CHANGE} resourceMetrics {{ metricId cpuUsage }} }} }}",
    }
    async with contextlib.AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(subscriber(hub)) for name in queries}
        for name, query in queries.items():
            await clients[name].follow(query)
        await an_agent(database)
        await run(database, set_agent_status, ADMIN, SetAgentStatus("james-dev", AgentStatus.ERROR, reason="broken"))
        execution = await an_execution(database)
        gate = await a_gate(database, execution.execution_id)
        measured = await run(
            database,
            record_metrics,
            ADMIN,
            [Measurement(await database.fetch_value("SELECT now()"), "james-dev", cpu_usage=Decimal("12.5"))],
        )
        agent_changes = await clients["agents"].take(2)
        (workflow,) = await clients["workflows"].take(1)
        (gate_change,) = await clients["gates"].take(1)
        (metric,) = await clients["metrics"].take(1)
    assert [change["eventType"] for change in agent_changes] == ["registered", "status_changed"]
    assert agent_changes[1]["agent"] == {"agentId": "james-dev", "status": "ERROR"}
    assert (agent_changes[1]["fromStatus"], agent_changes[1]["toStatus"]) == ("IDLE", "ERROR")
    assert (workflow["eventType"], workflow["toStatus"]) == ("started", "PENDING")
    assert workflow["execution"]["executionId"] == str(execution.execution_id)
    assert (gate_change["eventType"], gate_change["qualityGate"]["gateId"]) == ("created", str(gate.gate_id))
    assert metric["eventType"] == "recorded"
    assert metric["resourceMetrics"] == {"metricId": str(measured[0]), "cpuUsage": "12.5"}
    assert metric["detail"]["agent_id"] == "james-dev"


async def test_resuming_by_cursor_gives_all_that_was_missed_once(hub: ServedHub) -> None:
    query = "subscription ($after: Cursor) { taskChanged(after: $after) { cursor task { title } } }"
    async with subscriber(hub) as client:
        await client.follow(query)
        await a_task(hub.database, "first")
        (first,) = await client.take(1)
    for number in range(10):
        await a_task(hub.database, f"missed-{number}")
    async with subscriber(hub) as client:
        await client.follow(query, after=first["cursor"])
        await a_task(hub.database, "live")
        titles = [change["task"]["title"] for change in await client.take(11)]
        assert await client.quiet()
    assert titles == [*(f"missed-{number}" for number in range(10)), "live"]


async def test_an_entity_that_is_gone_is_null(hub: ServedHub) -> None:
    async with subscriber(hub) as client:
        await client.follow("subscription { taskChanged { eventType task { title } } }")
        await write(hub.database, str(new_id()), aggregate=Aggregate.TASK)
        assert await client.take(1) == [{"eventType": "created", "task": None}]


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        ('after: "yesterday"', "INVALID_INPUT", "after"),
        ('after: ""', "INVALID_INPUT", "after"),
        ('after: "' + "-" * 56 + '"', "INVALID_INPUT", "after"),
        ('taskId: "7"', "INVALID_INPUT", "taskId"),
        ('executionId: "\\u0000"', "INVALID_INPUT", "executionId"),
        ('agentId: "John PM"', "INVALID_INPUT", "agentId"),
    ],
)
async def test_wrong_arguments_end_the_operation_with_a_typed_error(
    hub: ServedHub, arguments: str, code: str, field: str
) -> None:
    async with subscriber(hub) as client:
        await client.subscribe("x", f"subscription {{ taskChanged({arguments}) {{ cursor }} }}", {})
        message = await client.hear()
    assert (message["type"], message["id"]) == ("error", "x")
    assert [error["extensions"] for error in message["payload"]] == [{"code": code, "field": field}]
    assert hub.tail.followers == 0


async def test_sealed_fields_stay_sealed_for_those_who_may_not_read_them(hub: ServedHub) -> None:
    async with subscriber(hub) as client:
        await client.follow("subscription { taskChanged { task { decision { outcome reasoningProcess } } } }")
        await a_task(hub.database)
        assert await client.take(1) == [{"task": {"decision": None}}]


async def test_closing_the_socket_leaves_no_follower(hub: ServedHub) -> None:
    async with subscriber(hub) as client:
        for _ in range(3):
            await client.follow("subscription { taskChanged { cursor } }")
        await a_task(hub.database)
        await client.take(3)
        assert (hub.streams.members, hub.streams.streams, hub.tail.followers) == (3, 1, 1)
    await eventually(lambda: hub.tail.followers == hub.view.open_sockets == 0)
