"""Workers that are killed at any boundary of the phases that steer: timers, signals, rounds and children count once."""

import signal
from uuid import UUID

import pytest

from db.session import Database
from tests.engine.processes import Workers, state_of
from tests.engine.team import errors_of, events_of, execution_of, path_of, start, steps_of, store_template, until
from tests.engine.test_children import children_of, sub
from tests.engine.test_flow import ended, function_phase, loop, wait
from tests.engine.test_signals import send, signals_of

POLL = 0.1
PATH = [
    (1, "work", 1, "completed"),
    (2, "again", 1, "completed"),
    (3, "work", 2, "completed"),
    (4, "again", 2, "completed"),
    (5, "nap", 1, "completed"),
    (6, "hold", 1, "completed"),
    (7, "child", 1, "completed"),
]


async def everything_that_steers(database: Database) -> UUID:
    await store_template(database, "inner", function_phase("deep"), output={"n": "results.deep.number"})
    await store_template(
        database,
        "steered",
        function_phase("work"),
        loop("again", "work", until="attempt == 2"),
        wait("nap", seconds=0.2),
        wait("hold", signal="go"),
        sub("child", "inner"),
        output={"n": "results.child.n"},
    )
    return await start(database, "steered")


# the transactions of one worker: each step that waits takes two, its begin and the look that finds its end
@pytest.mark.parametrize(
    ("visit", "moment"),
    [(visit, ("after", "inside", "fence", "before")[visit % 4]) for visit in range(2, 15)],
)
async def test_after_a_kill_at_any_boundary_the_next_worker_goes_on(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    database = engine_database
    execution_id = await everything_that_steers(database)
    await send(database, execution_id, "go", {"by": "ann"}, "k")
    first = workers.start("a", signal.SIGKILL, visit, moment, poll=POLL)
    await until(lambda: gone_or_done(database, first, execution_id))
    workers.start("b", poll=POLL)
    assert await ended(database, execution_id) == "completed"
    assert await path_of(database, execution_id) == PATH
    nap = (await steps_of(database, execution_id))[4]
    assert (nap.completed_at - nap.started_at).total_seconds() >= 0.2
    assert await signals_of(database) == [("go", {"by": "ann"}, 6)]
    (child,) = await children_of(database, execution_id)
    assert (child.execution_status, child.output) == ("completed", {"n": 1})
    assert (await execution_of(database, execution_id)).output == {"n": 1}
    told = await events_of(database, execution_id)
    assert told == ["started", "signalled", "running", *["step_started", "step_completed"] * 7, "completed"]
    assert await errors_of(database, execution_id) == []


async def gone_or_done(database: Database, pid: int, execution_id: UUID) -> bool:
    return state_of(pid) is None or (await execution_of(database, execution_id)).execution_status == "completed"


async def test_a_timer_is_kept_while_no_worker_is_there(engine_database: Database, workers: Workers) -> None:
    database = engine_database
    await store_template(database, "naps", wait("nap", seconds=0.5), function_phase("after"))
    execution_id = await start(database, "naps")
    first = workers.start("a", poll=POLL)

    async def armed() -> bool:
        row = await execution_of(database, execution_id)
        return row.wake_at is not None and row.lease_owner is None

    await until(armed)
    await workers.kill(first)
    workers.start("b", poll=POLL)
    assert await ended(database, execution_id) == "completed"
    nap, _ = await steps_of(database, execution_id)
    assert (nap.completed_at - nap.started_at).total_seconds() >= 0.5
    row = await execution_of(database, execution_id)
    # one wake-up by the start, one by the timer
    assert (row.wake_at, row.wake_seq, row.handled_seq) == (None, 2, 2)
