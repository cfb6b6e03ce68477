"""`python -m tests.benchmarks.workflows_hub URL`: a process that starts five-step workflows and works on them.

It prints `ready`, and then answers each line on its standard input, `{"runs": 40}`, with a line of JSON: the seconds
until these executions had been started and completed, by this worker or another one.
"""

import asyncio
import json
import sys
import time
from typing import Any
from uuid import UUID

import uvloop

from app.domain.principals import Principal, Role
from app.domain.templates import parse_template
from app.engine.functions import Call
from app.engine.runner import Worker
from app.live.hints import HintSender
from app.services.template_sources import spec_of
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.catalogue import store_spec
from db.session import Database
from tests.benchmarks.workflows_steps import STEPS, work

NAME = "five-steps"
WHO = Principal("bench", Role.ADMIN)
AT_ONCE = 8
LOOK_SECONDS = 0.02
UNFINISHED = (
    "SELECT array_agg(execution_id) FROM workflow_executions "
    "WHERE execution_id = ANY ($1) AND execution_status <> 'completed'"
)
PATIENCE = 120.0


async def step(call: Call) -> Any:
    """The function of every phase."""
    return work(call.phase, next(iter(call.results.values()), None))


FUNCTIONS = {"step": step}


def template() -> dict[str, Any]:
    """Five phases, each a function that uses the result of the one before."""
    phases = [
        {"name": name, "kind": "function", "function": "step", "uses": list(STEPS[max(0, number - 1) : number])}
        for number, name in enumerate(STEPS)
    ]
    return {"name": NAME, "description": "Five steps.", "phases": phases}


async def store(database: Database) -> None:
    """Store the template."""
    spec = spec_of(parse_template(template(), NAME))
    await database.transact(lambda session: store_spec(session, NAME, 1, "Five steps.", spec))


async def run(database: Database, runs: int) -> list[UUID]:
    """Start so many executions, eight at once, and wait until all are completed; their ids."""
    started: list[UUID] = []
    numbers = iter(range(runs))

    async def starter() -> None:
        for number in numbers:
            command = StartWorkflow(NAME, {"number": number})
            row = await database.transact(lambda session: start_workflow(session, WHO, command))  # noqa: B023
            started.append(row.execution_id)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(starter() for _ in range(AT_ONCE)))
        unfinished = started
        # what is awaited happens in the database
        while unfinished := await database.fetch_value(UNFINISHED, [unfinished]):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
    return started


async def main(url: str) -> None:
    """Answer the lines."""
    database = Database(url)
    await database.open()
    hints = HintSender(database)
    await hints.start()
    print("ready", flush=True)  # noqa: T201
    while line := await asyncio.to_thread(sys.stdin.readline):
        # at rest otherwise: it would help the other process in a measurement that is not its own
        worker = Worker(database, hints, name="bench", concurrency=AT_ONCE, functions=FUNCTIONS)
        await worker.start()
        began = time.perf_counter()
        await run(database, json.loads(line)["runs"])
        seconds = time.perf_counter() - began
        await worker.stop()
        print(json.dumps({"seconds": seconds}), flush=True)  # noqa: T201
    await hints.stop()
    await database.close()


if __name__ == "__main__":
    # as the hub runs
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
