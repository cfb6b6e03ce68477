"""Who asks the same shares a stream: each event is read and rendered once, and everybody gets each once, in order."""

import asyncio
from typing import Any

import orjson
import pytest

from app.domain.principals import Principal, Role
from app.services.decisions import record_decision
from app.services.tasks import ReportTaskProgress, report_progress
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.streams import shared
from tests.live.events import eventually
from tests.services.deciding import JOHN, a_decision
from tests.services.makers import ADMIN, SEALER, a_running_task, a_task, an_agent, run
from tests.streams.conftest import Live
from tests.streams.listening import Listener, listen

TASKS = (
    "subscription ($after: Cursor) { taskChanged(after: $after) { cursor eventType version task { title status } } }"
)
VIEWER = Principal("vera", Role.VIEWER)


async def test_a_hundred_listeners_cost_one_rendering(live: Live) -> None:
    listeners = [await listen(live.streams, TASKS) for _ in range(100)]
    assert (live.streams.streams, live.streams.members, live.tail.followers) == (1, 100, 1)
    before = len(live.statements)
    for number in range(5):
        await a_task(live.database, f"Task {number}")
    taken = [await listener.take(5) for listener in listeners]
    assert [change["task"]["title"] for change in taken[0]] == [f"Task {number}" for number in range(5)]
    assert all(each == taken[0] for each in taken)
    assert live.streams.renderings == 5
    # events that come together are rendered by one statement
    assert len(live.statements) - before <= 5


async def test_everybody_gets_the_same_bytes(live: Live) -> None:
    one, other = await listen(live.streams, TASKS), await listen(live.streams, TASKS)
    await a_task(live.database)
    await eventually(lambda: bool(one.payloads and other.payloads))
    assert one.payloads[0] is other.payloads[0]


async def test_a_batch_of_events_is_one_statement(live: Live) -> None:
    first = await listen(live.streams, TASKS)
    await a_task(live.database, "Task 0")
    (change,) = await first.take(1)
    for number in range(1, 51):
        await a_task(live.database, f"Task {number}")
    await live.settled()
    before = len(live.statements)
    late = await listen(live.streams, TASKS, after=change["cursor"])
    assert [each["task"]["title"] for each in await late.take(50)] == [f"Task {number}" for number in range(1, 51)]
    assert len(live.statements) - before == 1


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("subscription { taskChanged { cursor } }", {}),
        ("subscription { taskChanged { cursor task { title } } }", {}),
        ("subscription ($a: ID) { taskChanged(agentId: $a) { cursor } }", {"a": "james-dev"}),
        ("subscription ($a: ID) { taskChanged(agentId: $a) { cursor } }", {"a": "alex-qa"}),
    ],
)
async def test_what_is_asked_differently_is_another_stream(live: Live, query: str, variables: dict[str, Any]) -> None:
    await listen(live.streams, "subscription { taskChanged { eventType } }")
    await listen(live.streams, query, **variables)
    await listen(live.streams, query, **variables)
    assert (live.streams.streams, live.streams.members) == (2, 3)


async def test_where_one_begins_does_not_make_another_stream(live: Live) -> None:
    listener = await listen(live.streams, TASKS)
    await a_task(live.database)
    (change,) = await listener.take(1)
    resumed = await listen(live.streams, TASKS, after=change["cursor"])
    await a_task(live.database, "Later")
    assert [each["task"]["title"] for each in await resumed.take(1)] == ["Later"]
    assert live.streams.streams == 1
    # a variable that is also used elsewhere does make one
    query = "subscription ($c: Cursor) { taskChanged(after: $c) { task { dependencies(after: $c) { totalCount } } } }"
    await listen(live.streams, query, c=None)
    refused = await listen(live.streams, query, c=change["cursor"])
    assert [error["extensions"]["code"] for error in await refused.refusal()] == ["INVALID_INPUT"]
    assert live.streams.streams == 2


async def test_rights_are_part_of_what_is_asked(live: Live) -> None:
    query = "subscription { decisionChanged { decision { outcome reasoningProcess } } }"
    admin, pm = await listen(live.streams, query), await listen(live.streams, query, principal=JOHN)
    viewer = await listen(live.streams, query, principal=VIEWER)
    # an administrator's rights to tokens do not matter here, but they could: three roles, three streams
    assert live.streams.streams == 3
    row = await run(live.database, record_decision, JOHN, a_decision(), SEALER)
    (told,), (to_viewer,) = await admin.take(1), await viewer.take(1)
    assert told["decision"]["reasoningProcess"] is not None
    assert to_viewer["decision"] == {"outcome": row.outcome, "reasoningProcess": None}
    assert await pm.take(1) == [told]


async def test_what_happened_before_one_joined_is_not_told_to_it(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    early = await listen(live.streams, TASKS)
    # the stream is behind: it has read the first event, and has not rendered it yet
    rendering, go_on = asyncio.Event(), asyncio.Event()
    render = shared.SharedStream._render

    async def slow(self: shared.SharedStream, events: Any) -> Any:
        rendering.set()
        await go_on.wait()
        return await render(self, events)

    monkeypatch.setattr(shared.SharedStream, "_render", slow)
    await a_task(live.database, "Before")
    await rendering.wait()
    late = await listen(live.streams, TASKS)
    go_on.set()
    await a_task(live.database, "After")
    assert [each["task"]["title"] for each in await early.take(2)] == ["Before", "After"]
    assert [each["task"]["title"] for each in await late.take(1)] == ["After"]


async def test_one_that_leaves_hears_no_more_and_the_last_one_ends_the_stream(live: Live) -> None:
    one, other = await listen(live.streams, TASKS), await listen(live.streams, TASKS)
    await one.leave()
    await a_task(live.database)
    await other.take(1)
    assert one.payloads == []
    await other.leave()
    await other.leave()
    assert (live.streams.streams, live.streams.members, live.tail.followers) == (0, 0, 0)


async def test_many_resume_among_writers_and_each_gets_each_once(live: Live) -> None:
    """Joining is the delicate moment: here two hundred join while events come all the time."""
    first = await listen(live.streams, TASKS)
    await a_task(live.database, "Task 0")
    (change,) = await first.take(1)
    done = asyncio.Event()

    async def write() -> None:
        for number in range(1, 201):
            await a_task(live.database, f"Task {number}")
        done.set()

    async def join() -> list[Listener]:
        joined = []
        while not done.is_set():
            joined.append(await listen(live.streams, TASKS, after=change["cursor"]))
            await asyncio.sleep(0.003)
        return joined

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        joining = group.create_task(join())
    expected = [f"Task {number}" for number in range(1, 201)]
    for listener in joining.result():
        assert [each["task"]["title"] for each in await listener.take(200)] == expected
        assert listener.payloads == []
    assert len(joining.result()) > 20
    assert live.streams.streams == 1


async def test_one_that_stands_still_while_it_catches_up_holds_up_nobody(live: Live) -> None:
    first = await listen(live.streams, TASKS)
    for number in range(300):
        await a_task(live.database, f"Task {number}")
    cursor = (await first.take(300))[0]["cursor"]
    slow = Listener()
    slow.reading.clear()
    slow.membership = await live.streams.open(GraphQLRequest(TASKS, {"after": cursor}), ADMIN, slow)
    await a_task(live.database, "Live")
    assert [each["task"]["title"] for each in await first.take(1)] == ["Live"]
    assert slow.payloads == []
    slow.reading.set()
    assert [each["task"]["title"] for each in await slow.take(300)] == [*[f"Task {n}" for n in range(1, 300)], "Live"]


async def test_everything_that_happens(live: Live) -> None:
    query = "subscription { events { aggregate entityId nodeId eventType } }"
    all_of, tasks_only = (
        await listen(live.streams, query),
        await listen(live.streams, "subscription { events(aggregates: [TASK]) { aggregate eventType } }"),
    )
    await an_agent(live.database)
    task = await a_running_task(live.database)
    await run(live.database, report_progress, ADMIN, ReportTaskProgress(task.task_id, "half", 50.0))
    assert [each["eventType"] for each in await tasks_only.take(4)] == ["created", "claimed", "started", "progressed"]
    told = await all_of.take(2)
    assert [(each["aggregate"], each["eventType"]) for each in told] == [("AGENT", "registered"), ("TASK", "created")]
    found = await live.schema.execute(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }",
        {"ids": [told[0]["nodeId"], told[1]["nodeId"]]},
        live.streams._context_for(ADMIN),
    )
    assert orjson.loads(orjson.dumps(found.data))["nodes"] == [{"__typename": "AgentState"}, {"__typename": "Task"}]
