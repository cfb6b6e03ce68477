"""Clients that know nothing of the hub but the protocol receive the same events in the same order, and resume."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.ids import new_id
from app.live.records import EventFilter
from db.queries.changes import append
from db.session import Database
from tests.contracts.conftest import NodeClient, gql_follow
from tests.live.events import take, write
from tests.live.serving import ServedHub
from tests.services.makers import a_running_task, an_agent

QUERY = """
subscription Follow($after: Cursor, $executionId: ID) {
  taskChanged(after: $after, executionId: $executionId) {
    cursor eventType occurredAt actor fromStatus toStatus version detail
  }
}
"""
EVENTS = 120
WRITERS = 4

Changes = list[dict[str, Any]]


async def start_cursor(hub: ServedHub) -> str:
    """A place in the log that everything the test writes comes after."""
    async with hub.tail.follow(EventFilter()) as events:
        await write(hub.database, "start", aggregate=Aggregate.DECISION)
        return (await take(events, 1))[0].cursor


async def write_concurrently(database: Database, execution_id: str, total: int = EVENTS) -> None:
    """Events of many writers, whose transactions overlap and end in another order than they began."""
    source = random.Random(3)  # noqa: S311

    async def writer(name: int) -> None:
        for number in range(total // WRITERS):
            event = Event(
                Aggregate.TASK, "created", "test", detail={"execution_id": execution_id, "number": f"{name}-{number}"}
            )

            async def work(session: AsyncConnection, event: Event = event) -> None:
                await append(session, str(new_id()), event)
                await asyncio.sleep(source.choice((0, 0.001, 0.01)))

            await database.transact(work)

    await asyncio.gather(*map(writer, range(WRITERS)))


async def some(results: AsyncIterator[dict[str, Any]], number: int) -> Changes:
    """The next changes that a client got."""
    taken: Changes = []
    async with asyncio.timeout(60):
        while len(taken) < number:
            result = await anext(results)
            assert "errors" not in result, result
            taken.append(result.get("data", result)["taskChanged"])
    return taken


def check(changes: Changes, number: int) -> None:
    """All are there, each once, cursors rising."""
    assert len(changes) == number
    assert len({change["detail"]["number"] for change in changes}) == number
    cursors = [change["cursor"] for change in changes]
    assert cursors == sorted(set(cursors))


async def test_both_clients_receive_the_same_events_in_the_same_order(hub: ServedHub, node_client: NodeClient) -> None:
    execution_id = str(new_id())
    variables = {"after": await start_cursor(hub), "executionId": execution_id}
    async with (
        node_client.follow(hub, QUERY, variables, EVENTS) as node,
        gql_follow(hub, QUERY, variables) as python,
        gql_follow(hub, QUERY, variables) as python_again,
    ):
        reading = [asyncio.create_task(some(results, EVENTS)) for results in (node, python, python_again)]
        await write_concurrently(hub.database, execution_id)
        await write_concurrently(hub.database, str(new_id()), WRITERS)  # of another execution: nobody asked for it
        from_node, from_python, from_python_again = await asyncio.gather(*reading)
    check(from_node, EVENTS)
    assert from_node == from_python == from_python_again
    assert {change["detail"]["execution_id"] for change in from_node} == {execution_id}


@pytest.mark.parametrize("which", ["graphql-ws", "gql"])
async def test_a_client_that_is_cut_off_and_resumes_misses_and_repeats_nothing(
    hub: ServedHub, node_client: NodeClient, which: str
) -> None:
    execution_id = str(new_id())
    start = await start_cursor(hub)
    writing = asyncio.create_task(write_concurrently(hub.database, execution_id))
    seen: Changes = []
    for share in (17, 1, 40, EVENTS - 58):
        variables = {"after": seen[-1]["cursor"] if seen else start, "executionId": execution_id}
        follow = (
            node_client.follow(hub, QUERY, variables, EVENTS)
            if which == "graphql-ws"
            else gql_follow(hub, QUERY, variables)
        )
        async with follow as results:
            seen += await some(results, share)
    await writing
    check(seen, EVENTS)
    async with gql_follow(hub, QUERY, {"after": start, "executionId": execution_id}) as results:
        assert seen == await some(results, EVENTS)


async def test_entities_come_with_their_events(hub: ServedHub, node_client: NodeClient) -> None:
    await an_agent(hub.database)
    query = """
      subscription ($after: Cursor) {
        taskChanged(after: $after) { cursor toStatus task { title assignedAgent { agentId } } }
      }
    """
    variables = {"after": await start_cursor(hub)}
    await a_running_task(hub.database, title="Build it")
    async with node_client.follow(hub, query, variables, 3) as node, gql_follow(hub, query, variables) as python:
        from_node, from_python = await some(node, 3), await some(python, 3)
    assert from_node == from_python
    assert [change["toStatus"] for change in from_node] == ["PENDING", "ASSIGNED", "RUNNING"]
    assert from_node[2]["task"] == {"title": "Build it", "assignedAgent": {"agentId": "james-dev"}}


async def test_both_clients_get_typed_errors(hub: ServedHub, node_client: NodeClient) -> None:
    variables = {"after": "no cursor"}
    async with node_client.follow(hub, QUERY, variables, 1) as node:
        (error,) = (await anext(node))["error"]
    assert error["extensions"] == {"code": "INVALID_INPUT", "field": "after"}
    async with gql_follow(hub, QUERY, variables) as python:
        with pytest.raises(Exception, match="This is no cursor of the hub") as caught:
            await anext(python)
    assert caught.type.__name__ == "TransportQueryError"


async def test_a_wrong_token_is_told_by_the_close_code(hub: ServedHub, node_client: NodeClient) -> None:
    hub.secret = "hub_wrong"
    async with node_client.follow(hub, QUERY, {}, 1) as node:
        assert await anext(node) == {"error": {"code": 4403, "reason": "Forbidden"}}


@pytest.mark.parametrize("package", [".", "typescript", "subscribers"])
def test_the_lock_file_names_no_address(package: str) -> None:
    lock = orjson.loads((Path(__file__).parent / package / "package-lock.json").read_bytes())
    packages = [described for name, described in lock["packages"].items() if name]
    assert len(packages) >= 3
    for described in packages:
        described.pop("funding", None)  # where to give money for it
        assert described["integrity"].startswith("sha512-")
    assert b"://" not in orjson.dumps(packages)
