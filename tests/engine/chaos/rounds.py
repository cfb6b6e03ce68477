"""One round: many executions of drawn templates, two or three workers, agents and people, and everything that befalls.

The seed draws templates, answers, faults and their times. Which commit a fault falls on also depends on the machine.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.engine.catalogue import spec_of
from db.embedded import EmbeddedServer
from db.queries.catalogue import store_spec
from db.session import Database
from tests.engine.chaos.agents import Crew
from tests.engine.chaos.faults import UNEXPLAINED, Faults
from tests.engine.chaos.invariants import general_violations
from tests.engine.chaos.operators import Operators
from tests.engine.chaos.outcomes import execution_violations
from tests.engine.chaos.plans import Plan, draw_plan
from tests.engine.processes import Workers
from tests.engine.team import rows_of, start

WATCH = Path(__file__).with_name("watch.sql")
PATIENCE = 60.0
"""Seconds after which an execution that has not ended is stuck."""
LEASE = 3.0
LEASES_TO_THE_END = 2
"""Within so many lease periods of the last fault everything must have ended."""


@dataclass(frozen=True)
class Setting:
    """How a round is drawn: its seed, how many executions, and for about how many seconds things go wrong."""

    seed: int
    runs: int = 20
    lease: float = LEASE
    rage: float = 5.0


@dataclass
class Outcome:
    """What a round showed. `ended_after`: seconds from the last fault to the end of the last execution."""

    setting: Setting
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    ended_after: float = 0.0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    tasks: int = 0

    @property
    def late(self) -> bool:
        """Whether the end came later than two lease periods after the last fault."""
        return self.ended_after > LEASES_TO_THE_END * self.setting.lease


async def play_round(setting: Setting, database: Database, workers: Workers, server: EmbeddedServer) -> Outcome:
    """Play a round in a database that is migrated and empty; the violations are in the outcome."""
    outcome, began = Outcome(setting), monotonic()
    chance = random.Random(setting.seed)  # noqa: S311
    await watch(database)
    plans: dict[UUID, Plan] = {}
    crew = Crew(database, plans, random.Random(chance.random()), outcome.faults)  # noqa: S311
    operators = Operators(database, plans, random.Random(chance.random()), outcome.faults)  # noqa: S311
    await crew.register()
    for number in range(setting.runs):
        plan = draw_plan(f"{setting.seed}/{number}", f"chaos-{number}")
        plans[await begin(database, plan)] = plan
    faults = Faults(
        workers,
        server,
        random.Random(chance.random()),  # noqa: S311
        outcome.faults,
        setting.lease,
        size=chance.choice((2, 3)),
        budget=chance.randint(4, 10),
        restarts=chance.choice((0, 1, 1, 2)),
    )
    async with at_work(crew, operators) as failure:
        await faults.rage(setting.rage)
        crew.calm = operators.calm = True
        await until_ended(operators, faults, outcome, failure)
    outcome.violations += await judge(database, crew, operators, outcome)
    outcome.seconds = monotonic() - began
    return outcome


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
    operators.ended = False
    while not operators.ended:
        if failure.done():
            outcome.violations.append(f"agents or people met what they should not: {failure.exception()!r}")
            return
        faults.see_to_late_ones()
        outcome.ended_after = monotonic() - faults.last
        if outcome.ended_after > PATIENCE:
            outcome.violations.append(f"not all executions had ended {PATIENCE:.0f} s after the last fault")
            return
        await asyncio.sleep(0.05)
    outcome.ended_after = monotonic() - faults.last


async def judge(database: Database, crew: Crew, operators: Operators, outcome: Outcome) -> list[str]:
    """All that is wrong after the round."""
    found = [f"{UNEXPLAINED}: {outcome.faults[UNEXPLAINED]} workers"] if outcome.faults[UNEXPLAINED] else []
    found += await general_violations(database, crew.told)
    for execution_id, plan in crew.plans.items():
        cancelled = execution_id in operators.cancelled
        found += await execution_violations(database, execution_id, plan, cancelled=cancelled)
    counted = "SELECT (SELECT count(*) FROM workflow_steps) AS steps, (SELECT count(*) FROM tasks) AS tasks"
    (rows,) = await rows_of(database, text(counted))
    outcome.steps, outcome.tasks = rows.steps, rows.tasks
    statuses = text("SELECT execution_status FROM workflow_executions")
    outcome.statuses.update(row.execution_status for row in await rows_of(database, statuses))
    return found


def told(outcome: Outcome) -> str:
    """What to do with a round that failed."""
    setting = outcome.setting
    listed = "\n".join(f"  - {violation}" for violation in outcome.violations[:40])
    return (
        f"{len(outcome.violations)} violations; again by `make chaos SEED={setting.seed} RUNS={setting.runs}`\n"
        f"{listed}\n  faults: {json.dumps(outcome.faults, sort_keys=True)}"
    )
