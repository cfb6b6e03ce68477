"""Changes of entities: the row and its event together or not at all, and the first of two wins."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentStatus
from app.domain.errors import HubError, IllegalTransition, InvalidInput, NotFound, StaleVersion
from app.domain.events import Aggregate, Event, Retention
from app.domain.ids import new_id
from app.domain.tasks import TaskStatus
from db.queries import changes
from db.queries.entities import AGENT, API_TOKEN, TASK
from db.session import Database
from db.tables.events import event_log

Work = Callable[[AsyncConnection], Awaitable[Any]]


async def events(database: Database, entity_id: object) -> list[dict[str, Any]]:
    async with database.snapshot() as connection:
        statement = select(event_log).where(event_log.c.entity_id == str(entity_id)).order_by("xid", "id")
        return [dict(row._mapping) for row in await connection.execute(statement)]


async def count_events(database: Database) -> int:
    return int(await database.fetch_value("SELECT count(*) FROM event_log"))


async def a_task(database: Database, **values: Any) -> Row[Any]:
    row = {"task_id": new_id(), "title": "Build it", **values}
    return await database.transact(lambda s: changes.create(s, TASK, row, "created", "john-pm", {"execution_id": None}))


async def an_agent(database: Database, agent_id: str = "james-dev") -> Row[Any]:
    row = {"agent_id": agent_id, "agent_name": "James", "agent_role": "developer"}
    return await database.transact(lambda s: changes.create(s, AGENT, row, "registered", agent_id))


def cancelling(task_id: UUID, version: int | None = None, values: Mapping[str, Any] | None = None) -> Work:
    return lambda session: changes.transition(
        session, TASK, task_id, TaskStatus.CANCELLED, "cancelled", "john-pm", expected_version=version, values=values
    )


async def test_create_returns_the_row_and_writes_its_event(database: Database) -> None:
    task = await a_task(database, complexity=7)

    assert (task.status, task.version, task.complexity) == ("pending", 1, 7)
    assert task.created_at == task.updated_at
    (event,) = await events(database, task.task_id)
    assert event["created_at"] == task.created_at
    assert {name: event[name] for name in changes.EVENT_COLUMNS} == {
        "xid": task.event_xid,
        "retention": "audit",
        "aggregate": "task",
        "entity_id": str(task.task_id),
        "event_type": "created",
        "from_status": None,
        "to_status": "pending",
        "version": 1,
        "actor": "john-pm",
        "detail": {"execution_id": None},
    }


async def test_an_entity_without_a_status_has_events_without_one(database: Database) -> None:
    row = {"token_id": new_id(), "token_name": "t", "token_hash": b"h", "role": "viewer"}
    await database.transact(lambda s: changes.create(s, API_TOKEN, row, "created", "hub"))
    await database.transact(
        lambda s: changes.amend(s, API_TOKEN, row["token_id"], "revoked", "hub", values={"token_name": "u"})
    )

    assert [
        (e["event_type"], e["from_status"], e["to_status"], e["version"])
        for e in await events(database, row["token_id"])
    ] == [
        ("created", None, None, 1),
        ("revoked", None, None, 2),
    ]


async def test_transition_sets_the_status_and_writes_both_ends(database: Database) -> None:
    await an_agent(database)
    task = await a_task(database)

    assigned = await database.transact(
        lambda s: changes.transition(
            s,
            TASK,
            task.task_id,
            TaskStatus.ASSIGNED,
            "claimed",
            "james-dev",
            expected_version=1,
            values={"assigned_agent_id": "james-dev"},
            detail={"agent_id": "james-dev"},
        )
    )
    assert (assigned.status, assigned.version, assigned.assigned_agent_id) == ("assigned", 2, "james-dev")
    assert assigned.updated_at > task.updated_at
    event = (await events(database, task.task_id))[-1]
    assert (event["from_status"], event["to_status"], event["version"]) == ("pending", "assigned", 2)
    assert (event["event_type"], event["actor"], event["detail"]) == ("claimed", "james-dev", {"agent_id": "james-dev"})


async def test_amend_changes_columns_and_leaves_the_status(database: Database) -> None:
    task = await a_task(database)

    amended = await database.transact(
        lambda s: changes.amend(
            s, TASK, task.task_id, "updated", "john-pm", expected_version=1, values={"title": "Build it well"}
        )
    )
    assert (amended.title, amended.status, amended.version) == ("Build it well", "pending", 2)
    event = (await events(database, task.task_id))[-1]
    assert (event["event_type"], event["from_status"], event["to_status"]) == ("updated", "pending", "pending")


async def test_append_writes_an_event_alone(database: Database) -> None:
    event = Event(Aggregate.METRICS, "recorded", "james-dev", Retention.REPORT, detail={"agent_id": "james-dev"})
    await database.transact(lambda s: changes.append(s, "a-metric", event))

    (found,) = await events(database, "a-metric")
    assert (found["retention"], found["aggregate"], found["version"]) == ("report", "metrics", None)
    assert found["detail"] == {"agent_id": "james-dev"}


async def test_read_finds_the_row_or_says_that_there_is_none(database: Database) -> None:
    task = await a_task(database)

    assert await database.transact(lambda s: changes.read(s, TASK, task.task_id)) == task
    with pytest.raises(NotFound, match="There is no task"):
        await database.transact(lambda s: changes.read(s, TASK, new_id()))


async def test_a_stale_version_is_refused_with_the_current_one(database: Database) -> None:
    task = await a_task(database)
    for _ in range(2):
        await database.transact(
            lambda s: changes.amend(s, TASK, task.task_id, "updated", "x", values={"title": "Again"})
        )
    before = await count_events(database)

    with pytest.raises(StaleVersion) as stale:
        await database.transact(cancelling(task.task_id, version=1))
    assert stale.value.current == 3
    with pytest.raises(StaleVersion) as stale:
        await database.transact(
            lambda s: changes.amend(s, TASK, task.task_id, "updated", "x", expected_version=2, values={"title": "No"})
        )
    assert stale.value.current == 3
    assert await count_events(database) == before
    assert (await database.transact(lambda s: changes.read(s, TASK, task.task_id))).title == "Again"


async def test_a_stale_version_is_said_before_an_illegal_transition(database: Database) -> None:
    task = await a_task(database)
    await database.transact(cancelling(task.task_id))

    with pytest.raises(StaleVersion):
        await database.transact(cancelling(task.task_id, version=1))


async def test_a_transition_that_the_machine_lacks_is_refused(database: Database) -> None:
    task = await a_task(database)

    with pytest.raises(IllegalTransition) as refused:
        await database.transact(
            lambda s: changes.transition(
                s, TASK, task.task_id, TaskStatus.COMPLETED, "completed", "x", expected_version=1
            )
        )
    assert refused.value.current_status == "pending"
    assert set(refused.value.allowed) == {"assigned", "cancelled"}
    assert await count_events(database) == 1


@pytest.mark.parametrize("verb", ["transition", "amend"])
async def test_an_unknown_id_is_refused(database: Database, verb: str) -> None:
    def change(session: AsyncConnection) -> Awaitable[Any]:
        if verb == "amend":
            return changes.amend(session, TASK, new_id(), "updated", "x", values={"title": "No"})
        return changes.transition(session, TASK, new_id(), TaskStatus.CANCELLED, "cancelled", "x")

    with pytest.raises(NotFound):
        await database.transact(change)
    assert await count_events(database) == 0


async def test_a_change_that_breaks_a_rule_leaves_no_event(database: Database) -> None:
    task = await a_task(database)

    with pytest.raises(InvalidInput):
        await database.transact(cancelling(task.task_id, values={"complexity": 11}))
    with pytest.raises(InvalidInput):
        await a_task(database, title=" ")
    assert await count_events(database) == 1


@pytest.mark.parametrize("version", [1, None])
async def test_of_two_transitions_at_once_one_wins_with_one_event(database: Database, version: int | None) -> None:
    for _ in range(10):
        task = await a_task(database)
        outcomes = await asyncio.gather(
            *(database.transact(cancelling(task.task_id, version)) for _ in range(4)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)] == [
            StaleVersion if version else IllegalTransition
        ] * 3
        assert [(e["event_type"], e["version"]) for e in await events(database, task.task_id)] == [
            ("created", 1),
            ("cancelled", 2),
        ]


async def test_the_second_waits_for_the_first_and_sees_what_it_did(database: Database) -> None:
    task = await a_task(database)
    async with database.engine.connect() as first:
        await cancelling(task.task_id, 1)(first)
        second = asyncio.create_task(database.transact(cancelling(task.task_id, 1)))
        await asyncio.sleep(0.1)
        assert not second.done()
        await first.commit()
    with pytest.raises(StaleVersion) as stale:
        await second
    assert stale.value.current == 2


async def test_the_second_goes_on_when_the_first_takes_it_back(database: Database) -> None:
    task = await a_task(database)
    async with database.engine.connect() as first:
        await cancelling(task.task_id, 1)(first)
        second = asyncio.create_task(database.transact(cancelling(task.task_id, 1)))
        await asyncio.sleep(0.1)
        await first.rollback()
    assert (await second).version == 2
    assert len(await events(database, task.task_id)) == 2


async def test_changes_at_once_without_an_expected_version_lose_nothing(database: Database) -> None:
    await an_agent(database)
    await database.transact(
        lambda s: changes.transition(s, AGENT, "james-dev", AgentStatus.IDLE, "status_changed", "x")
    )

    def to_and_fro(number: int) -> Work:
        if number % 2:
            return lambda s: changes.amend(
                s, AGENT, "james-dev", "updated", "x", values={"agent_name": f"James {number}"}
            )
        target = AgentStatus.ACTIVE if number % 4 else AgentStatus.IDLE
        return lambda s: changes.transition(s, AGENT, "james-dev", target, "status_changed", "x")

    outcomes = await asyncio.gather(*(database.transact(to_and_fro(n)) for n in range(40)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, HubError)} <= {IllegalTransition}
    assert not [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, HubError)]

    done = sum(not isinstance(outcome, BaseException) for outcome in outcomes)
    history = await events(database, "james-dev")
    assert sorted(event["version"] for event in history) == list(range(1, done + 3))
    by_version = sorted(history, key=lambda event: event["version"])
    for before, after in pairwise(by_version):
        assert after["from_status"] == before["to_status"]
