"""The events of one entity come in the order of its versions, whatever order the transactions began in."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.queries.changes import amend, append
from db.queries.entities import AGENT, TASK
from db.session import Database
from tests.live.events import eventually, nothing_comes
from tests.services import makers

AGENTS = EventFilter(Aggregate.AGENT)


async def rename(session: AsyncConnection) -> None:
    await amend(session, AGENT, "james-dev", "updated", "test", values={"concurrency": 2})


async def touch(session: AsyncConnection, task: Any) -> None:
    await amend(session, TASK, task.task_id, "updated", "test", values={"complexity": 6})


async def test_a_later_version_does_not_come_first_while_another_transaction_holds_the_horizon(
    database: Database, tail: EventTail
) -> None:
    """The first transaction has its id from the task; the third holds the horizon between both agents' events.

    By transaction ids alone, the agent's third version lay below the horizon and its second one above.
    """
    await makers.an_agent(database)
    task, other = await makers.a_task(database), await makers.a_task(database)
    async with tail.follow(AGENTS) as events, database.engine.connect() as first, database.engine.connect() as third:
        await eventually(lambda: _has_seen_all(database, tail))
        await events.ready(100)
        await touch(first, task)
        await touch(third, other)
        await database.transact(rename)
        await rename(first)
        await first.commit()
        assert await nothing_comes(events, 0.3)
        await third.commit()
        async with asyncio.timeout(20):
            told = [await anext(events), await anext(events)]
    assert [event.version for event in told] == [2, 3]
    assert told[0].position.key < told[1].position.key
    assert told[0].position.xid == told[1].position.xid


async def test_what_changes_no_version_stands_behind_the_last_one_too(database: Database, tail: EventTail) -> None:
    await makers.an_agent(database)
    task = await makers.a_task(database)
    async with tail.follow(AGENTS) as events:
        async with database.engine.begin() as first:
            await touch(first, task)
            await database.transact(rename)
            await append(first, "james-dev", Event(Aggregate.AGENT, "noted", "test"))
        async with asyncio.timeout(20):
            kinds = [event.event_type async for event in _until(events, "noted")]
    assert kinds[-2:] == ["updated", "noted"]


async def test_many_writers_of_few_entities_keep_the_order_of_each(database: Database, tail: EventTail) -> None:
    names = [f"agent-{letter}" for letter in "abcd"]
    for name in names:
        await makers.an_agent(database, name)
    tasks = [await makers.a_task(database) for _ in range(8)]

    async def write(number: int) -> None:
        for turn in range(20):
            async with database.engine.begin() as session:
                await touch(session, tasks[number])  # takes an id long before it comes to the agents
                await asyncio.sleep(0.002 * ((number + turn) % 3))
                for name in sorted({names[(number + turn) % 4], names[(number * 3 + turn) % 4]}):
                    await amend(session, AGENT, name, "updated", "test", values={"concurrency": 2})

    async with tail.follow(AGENTS) as events:
        await asyncio.gather(*[write(number) for number in range(8)])
        last = {name: (await makers.row_of(database, AGENT.table, agent_id=name)).version for name in names}
        seen: dict[str, list[int]] = {name: [] for name in names}
        async with asyncio.timeout(20):
            while any(versions[-1:] != [last[name]] for name, versions in seen.items()):
                event = await anext(events)
                assert event.version is not None
                seen[event.entity_id].append(event.version)
    for name, versions in seen.items():
        assert versions == list(range(versions[0], last[name] + 1))


async def _has_seen_all(database: Database, tail: EventTail) -> bool:
    return bool(tail.position.id >= await database.fetch_value("SELECT max(id) FROM event_log"))


async def _until(events: Any, kind: str) -> Any:
    async for event in events:
        yield event
        if event.event_type == kind:
            return
