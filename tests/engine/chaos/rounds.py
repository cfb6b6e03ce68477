"""One round: many executions of drawn templates, two or three workers, agents and people, and everything that befalls.

The seed draws templates, answers, faults and their times. Which commit a fault falls on also depends on the machine.
"""

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Unavailable
from app.services.template_sources import spec_of
from db.embedded import EmbeddedServer
from db.queries.catalogue import store_spec
from db.session import Database
from tests.engine.chaos.agents import Crew
from tests.engine.chaos.faults import UNEXPLAINED, Faults
from tests.engine.chaos.invariants import general_violations
from tests.engine.chaos.operators import Operators
from tests.engine.chaos.oracle import predict
from tests.engine.chaos.outcomes import execution_violations
from tests.engine.chaos.plans import Plan, draw_plan
from tests.engine.processes import Workers
from tests.engine.team import rows_of, start

WATCH = Path(__file__).with_name("watch.sql")
UNFINISHED = (
    text(
        """
        SELECT execution_id, workflow_name, execution_status, current_phase, lease_owner, lease_until, fence, wake_seq,
            handled_seq, version, clock_timestamp() AS now FROM workflow_executions
        WHERE execution_status NOT IN ('completed', 'cancelled') ORDER BY 1
        """
    ),
    text(
        """
        SELECT execution_id, task_id, task_kind, phase, phase_attempt, task_name, status, assigned_agent_id, failures,
            required_role, updated_at FROM tasks WHERE status IN ('pending', 'assigned', 'running', 'failed') ORDER BY 1
        """
    ),
    text(
        """
        SELECT workflow_execution_id, gate_id, phase, phase_attempt, revision, approval_status, updated_at
        FROM quality_gates WHERE approval_status NOT IN ('approved', 'rejected') ORDER BY 1
        """
    ),
    text(
        """
        SELECT application_name, state, wait_event, clock_timestamp() - state_change AS since, left(query, 100) AS query
        FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
        """
    ),
)
COUNTED = text(
    """
    SELECT (SELECT count(*) FROM workflow_steps) AS steps, (SELECT count(*) FROM tasks) AS tasks,
        (SELECT count(*) FROM event_log) AS events
    """
)
STEPS_LEFT = 3
"""The most that any execution has still to take when the faults cease: what keeps it longer is the last fault."""
STEPS_MAX = 12
"""Of an execution, so that none is long in coming to its end."""
STANDING_STILL = text(
    """
    SELECT execution_id, execution_status, current_phase, wake_seq, handled_seq, lease_owner, lease_until
    FROM workflow_executions AS execution
    WHERE execution_status IN ('pending', 'running') AND clock_timestamp() - make_interval(secs => :seconds) > greatest(
        last_activity, updated_at,
        (SELECT max(updated_at) FROM tasks WHERE tasks.execution_id = execution.execution_id),
        (SELECT max(updated_at) FROM quality_gates WHERE workflow_execution_id = execution.execution_id))
    """
)
LOAD_MAX = 1.5
"""Processes a core, above which a machine is too busy to say what is late."""
VIOLATIONS_SHOWN = 40
PATIENCE = 60.0
"""Seconds after which an execution that has not ended is stuck."""
LEASE = 4.0
LEASES_TO_THE_END = 2
"""Within so many lease periods of the last fault everything must have ended."""


@dataclass(frozen=True)
class Setting:
    """How a round is drawn: its seed, how many executions, and the seconds of a lease."""

    seed: int
    runs: int = 20
    lease: float = LEASE


@dataclass
class Outcome:
    """What a round showed. `ended_after`: seconds from the last fault to the end of the last execution."""

    setting: Setting
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    ended_after: float = 0.0
    seconds: float = 0.0
    unfinished: list[str] = field(default_factory=list)
    """What was still going on when the two lease periods were over."""
    load: float = 0.0
    """Processes that wanted a core at the end, for each core, as the mean of a minute."""
    log: Path | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    tasks: int = 0
    events: int = 0

    @property
    def limit(self) -> float:
        """Two lease periods, in seconds."""
        return LEASES_TO_THE_END * self.setting.lease

    @property
    def late(self) -> bool:
        """Whether the end came later than two lease periods after the last fault."""
        return self.ended_after > self.limit

    @property
    def failed(self) -> bool:
        """Whether anything is wrong; an end that was late on a busy machine says nothing."""
        return bool(self.violations) or (self.late and self.load <= LOAD_MAX)


async def play_round(setting: Setting, database: Database, workers: Workers, server: EmbeddedServer) -> Outcome:
    """Play a round in a database that is migrated and empty; the violations are in the outcome."""
    outcome, began = Outcome(setting), monotonic()
    chance = random.Random(setting.seed)  # noqa: S311
    await watch(database)
    plans: dict[UUID, Plan] = {}
    lengths: dict[UUID, int] = {}
    crew = Crew(database, plans, random.Random(chance.random()), outcome.faults)  # noqa: S311
    operators = Operators(database, plans, lengths, random.Random(chance.random()), outcome.faults)  # noqa: S311
    await crew.register()
    for number in range(setting.runs):
        plan, length = draw(setting.seed, number)
        execution_id = await begin(database, plan)
        plans[execution_id], lengths[execution_id] = plan, length
    faults = Faults(
        workers,
        server,
        random.Random(chance.random()),  # noqa: S311
        outcome.faults,
        setting.lease,
        size=chance.choice((2, 3)),
        restarts=chance.choice((0, 1, 1, 2)),
    )
    few = chance.randint(0, STEPS_LEFT)
    async with at_work(crew, operators) as failure:
        await faults.rage(lambda: failure.done() or operators.left in range(few + 1))
        crew.calm = operators.calm = True
        faults.calm()
        await until_ended(operators, faults, outcome, failure)
    outcome.violations += await judge(database, crew, operators, outcome)
    outcome.seconds = monotonic() - began
    return outcome


def draw(seed: int, number: int) -> tuple[Plan, int]:
    """The plan of an execution that is not too long, and its length in steps."""
    plans = (draw_plan(f"{seed}/{number}/{tries}", f"chaos-{number}") for tries in count())
    lengths = ((plan, len(predict(plan).path)) for plan in plans)
    return next((plan, length) for plan, length in lengths if length <= STEPS_MAX)


async def watch(database: Database) -> None:
    """Let the database itself note what may never happen."""
    async with database.engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.execute(WATCH.read_text(encoding="utf-8"))


async def begin(database: Database, plan: Plan) -> UUID:
    """Store the plan's template and start it."""
    name, spec = plan.template.name, spec_of(plan.template)
    await database.transact(lambda session: store_spec(session, name, 1, plan.template.description, spec))
    return await start(database, name, {"seed": plan.seed})


@contextlib.asynccontextmanager
async def at_work(crew: Crew, operators: Operators) -> AsyncIterator["asyncio.Future[Any]"]:
    """Agents and people work while within; what they should not have met is in the future."""
    failure: asyncio.Future[Any] = asyncio.gather(crew.work(), operators.work())
    try:
        yield failure
    finally:
        failure.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await failure


async def until_ended(operators: Operators, faults: Faults, outcome: Outcome, failure: "asyncio.Future[Any]") -> None:
    """Wait until all have ended; an execution that does not is a violation, and so is what broke the agents."""
    operators.forget()
    while operators.left != 0:
        if failure.done():
            outcome.violations.append(f"agents or people met what they should not: {failure.exception()!r}")
            return
        faults.see_to_late_ones()
        outcome.ended_after = monotonic() - faults.last
        if outcome.late and not outcome.unfinished:
            outcome.unfinished = await unfinished(operators.database)
            outcome.violations += await standing_still(operators.database, outcome.limit)
        if outcome.ended_after > PATIENCE:
            outcome.violations.append(f"not all executions had ended {PATIENCE:.0f} s after the last fault")
            return
        await asyncio.sleep(0.05)
    outcome.ended_after = monotonic() - faults.last
    outcome.load = os.getloadavg()[0] / (os.cpu_count() or 1)


async def standing_still(database: Database, seconds: float) -> list[str]:
    """Executions to which nothing has happened for so long: slow ones are no violation, lost ones are."""
    rows = await rows_of(database, STANDING_STILL.bindparams(seconds=seconds))
    return [f"an execution stands still: {dict(row._mapping)}" for row in rows]


async def unfinished(database: Database) -> list[str]:
    """What is going on: executions with their leases, open tasks, gates, and what the server waits for."""

    async def read(session: AsyncConnection) -> list[str]:
        return [str(dict(row._mapping)) for statement in UNFINISHED for row in (await session.execute(statement)).all()]

    try:
        return await database.transact(read)
    except Unavailable as error:
        return [error.message]


async def judge(database: Database, crew: Crew, operators: Operators, outcome: Outcome) -> list[str]:
    """All that is wrong after the round."""
    found = [f"{UNEXPLAINED}: {outcome.faults[UNEXPLAINED]} workers"] if outcome.faults[UNEXPLAINED] else []
    found += await general_violations(database, crew.told)
    for execution_id, plan in crew.plans.items():
        cancelled = execution_id in operators.cancelled
        found += await execution_violations(database, execution_id, plan, cancelled=cancelled)
    (rows,) = await rows_of(database, COUNTED)
    outcome.steps, outcome.tasks, outcome.events = rows.steps, rows.tasks, rows.events
    statuses = text("SELECT execution_status FROM workflow_executions")
    outcome.statuses.update(row.execution_status for row in await rows_of(database, statuses))
    return found


def told(outcome: Outcome) -> str:
    """What is wrong with a round, and how to see it again."""
    setting, faults = outcome.setting, json.dumps(outcome.faults, sort_keys=True)
    lines = [f"  - {violation}" for violation in outcome.violations[:VIOLATIONS_SHOWN]]
    if outcome.late:
        lines.append(
            f"  - the end came {outcome.ended_after:.1f} s after the last fault, later than {outcome.limit:.1f} s "
            f"(load of the machine: {outcome.load:.1f} a core)"
        )
    again = f"{len(lines)} findings; again by `make chaos SEED={setting.seed} RUNS={setting.runs}`"
    return "\n".join([again, *lines, f"  faults: {faults}", f"  log: {outcome.log}"])
