"""Concurrent starts: allowed, rejected, queued, replacing; counted rightly, however many start and end at once."""

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Row

from app.domain.errors import AlreadyRunning, HubError
from app.domain.workflows import ExecutionStatus, StepStatus
from app.services.workflow_forks import ForkWorkflow, fork_workflow
from app.services.workflows import (
    CancelWorkflow,
    RetryWorkflow,
    StartWorkflow,
    cancel_workflow,
    retry_workflow,
    start_workflow,
)
from db.queries.boundaries import Boundary, cross
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.queries.executions import claim
from db.queries.steps import begin_step, end_step
from db.session import Database
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_templates
from tests.services.makers import ADMIN, a_running_task, an_agent, events_of, row_of, run

NAME = "limited"


async def a_limit(database: Database, version: int = 1, **concurrency: Any) -> None:
    values = {"template_name": NAME, "template_version": version, "description": "For a test.",
              "spec": {"concurrency": concurrency}}  # fmt: skip
    await database.transact(lambda session: session.execute(insert(workflow_templates).values(**values)))


async def start(database: Database, **context: Any) -> Row[Any]:
    row: Row[Any] = await run(database, start_workflow, ADMIN, StartWorkflow(NAME, context))
    return row


async def to(database: Database, execution_id: UUID, *ways: str) -> None:
    for way in ways:
        await database.transact(
            lambda s: transition(s, EXECUTION, execution_id, ExecutionStatus(way), way, "test")  # noqa: B023
        )


async def of(database: Database, execution_id: UUID) -> Row[Any]:
    return await row_of(database, workflow_executions, execution_id=execution_id)


async def claimable(database: Database) -> list[UUID]:
    rows = await database.transact(lambda session: claim(session, "worker", 30.0, 1_000))
    return [row.execution_id for row in rows]


async def statuses(database: Database) -> Counter[tuple[str, bool]]:
    """How many there are by status, and whether they wait for their turn."""
    rows = await database.transact(lambda session: session.execute(select(workflow_executions)))
    return Counter((row.execution_status, row.queued_at is not None) for row in rows)


@pytest.mark.parametrize("concurrency", [{}, {"policy": "allow", "key": None, "max": 1}])
async def test_without_a_limit_all_may_run(database: Database, concurrency: dict[str, Any]) -> None:
    await a_limit(database, **concurrency)
    for _ in range(3):
        assert (await start(database)).concurrency_key is None
    assert len(await claimable(database)) == 3


async def test_reject_names_those_that_run(database: Database) -> None:
    await a_limit(database, policy="reject", key="site.host", max=2)
    one, two = await start(database, site={"host": "a"}), await start(database, site={"host": "a"})
    other, none = await start(database, site={"host": "b"}), await start(database, site="a")
    with pytest.raises(AlreadyRunning, match="Nothing was changed") as refused:
        await start(database, site={"host": "a"})
    assert refused.value.execution_ids == (str(one.execution_id), str(two.execution_id))
    assert str(one.execution_id) in refused.value.message
    await to(database, one.execution_id, "running", "paused")
    with pytest.raises(AlreadyRunning):
        await start(database, site={"host": "a"})
    await to(database, one.execution_id, "failed")
    third = await start(database, site={"host": "a"})
    assert {third.concurrency_key, other.concurrency_key, none.concurrency_key} == {'"a"', '"b"', "-"}
    # the place of the failed one is taken: it cannot run again beside the others
    version = (await of(database, one.execution_id)).version
    with pytest.raises(AlreadyRunning):
        await run(database, retry_workflow, ADMIN, RetryWorkflow(one.execution_id, version))
    await to(database, two.execution_id, "cancelled")
    await run(database, retry_workflow, ADMIN, RetryWorkflow(one.execution_id, version))


async def test_queued_ones_run_in_the_order_of_their_starts(database: Database) -> None:
    """Whoever ends the one before, and by whatever statement, lets the next go on in the same transaction."""
    await a_limit(database, policy="queue", max=1)
    rows = [await start(database) for _ in range(5)]
    ids = [row.execution_id for row in rows]
    assert [row.queued_at is not None for row in rows] == [False, True, True, True, True]
    assert await claimable(database) == ids[:1]
    await to(database, ids[0], "running", "completed")
    assert await claimable(database) == [ids[1]]
    assert await events_of(database, ids[1]) == [
        ("started", None, "pending", 1),
        ("admitted", "pending", "pending", 2),
    ]
    # one that waits is cancelled: nobody goes on for that
    await to(database, ids[2], "cancelled")
    assert await statuses(database) == {
        ("completed", False): 1, ("pending", False): 1, ("pending", True): 2, ("cancelled", True): 1,
    }  # fmt: skip
    # the engine's statement leaves it to a transaction, since others may share that statement's
    await to(database, ids[1], "running")
    await database.transact(lambda s: begin_step(s, ids[1], 1, "one", 1))
    await database.transact(lambda s: end_step(s, ids[1], 1, StepStatus.COMPLETED, {"next_phase": ""}))
    row = await of(database, ids[1])
    ended = Boundary(ids[1], row.fence, "hub", completes=True, wake_seq=row.wake_seq)
    assert await cross(database, ended) is None
    await to(database, ids[1], "completed")
    assert await claimable(database) == [ids[3]]
    # an end that is undone lets nobody go on
    version = (await of(database, ids[3])).version
    await database.rehearse(lambda s: cancel_workflow(s, ADMIN, CancelWorkflow(ids[3], version, "no")))
    assert (await of(database, ids[4])).queued_at is not None
    await run(database, cancel_workflow, ADMIN, CancelWorkflow(ids[3], version, "no"))
    assert await claimable(database) == [ids[4]]


async def test_a_template_that_allows_more_lets_those_that_wait_go_first(database: Database) -> None:
    await a_limit(database, policy="queue", max=1)
    ids = [(await start(database)).execution_id for _ in range(4)]
    await a_limit(database, 2, policy="queue", max=3)
    last = (await start(database)).execution_id
    assert [(await of(database, each)).queued_at is not None for each in (*ids, last)] == [
        False,
        False,
        False,
        True,
        True,
    ]
    # and one that allows fewer waits until there are so few: the place goes by what each of those that wait was told
    await to(database, ids[0], "cancelled")
    assert (await of(database, ids[3])).queued_at is not None
    await to(database, ids[1], "cancelled")
    await to(database, ids[2], "cancelled")
    assert [(await of(database, each)).queued_at for each in (ids[3],)] == [None]


async def test_replace_cancels_the_oldest_with_their_tasks(database: Database) -> None:
    await an_agent(database)
    await a_limit(database, policy="replace", max=2)
    one, two = [(await start(database)).execution_id for _ in range(2)]
    await to(database, one, "running")
    task = await a_running_task(database, execution_id=one)
    three = (await start(database)).execution_id
    assert [(await of(database, each)).execution_status for each in (one, two, three)] == [
        "cancelled",
        "pending",
        "pending",
    ]
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "cancelled"
    assert (await of(database, one)).lease_owner is None
    assert (await events_of(database, one))[-1][0] == "cancelled"


async def test_forks_take_their_turn_too(database: Database) -> None:
    await a_limit(database, policy="queue", key="page", max=1)
    first = (await start(database, page=1)).execution_id
    await to(database, first, "running")
    await database.transact(lambda s: begin_step(s, first, 1, "one", 1))
    fork = await run(database, fork_workflow, ADMIN, ForkWorkflow(first, 1))
    free = await run(database, fork_workflow, ADMIN, ForkWorkflow(first, 1, {"page": 2}))
    assert (fork.queued_at is not None, free.queued_at) == (True, None)


@pytest.mark.parametrize(("policy", "most"), [("reject", 1), ("queue", 2), ("replace", 1)])
async def test_many_start_and_end_at_once(database: Database, policy: str, most: int) -> None:
    """Real transactions side by side. There are never more than may be, and nobody waits whose turn has come."""
    await a_limit(database, policy=policy, max=most)
    seen: list[int] = []

    async def one(number: int) -> None:
        chance = random.Random(number)  # noqa: S311
        for _ in range(4):
            try:
                row = await start(database)
            except AlreadyRunning:
                continue
            if chance.random() < 0.7:
                await end(row.execution_id)
            counts = await statuses(database)
            seen.append(counts["pending", False] + counts["running", False])

    async def end(execution_id: UUID) -> None:
        row = await of(database, execution_id)
        try:
            await run(database, cancel_workflow, ADMIN, CancelWorkflow(execution_id, row.version, "enough"))
        except HubError:
            # replaced, or admitted, meanwhile
            return

    await asyncio.gather(*(one(number) for number in range(8)))
    counts = await statuses(database)
    running, waiting = counts["pending", False], counts["pending", True]
    assert max(seen) <= most
    assert running <= most
    assert waiting == 0 or running == most
    for _ in range(waiting + running):
        for each in await claimable(database):
            await to(database, each, "cancelled")
    assert not {status for status, _ in await statuses(database)} & {"pending", "running"}
