"""Durable five-step workflows: the hub beside DBOS on the same database, in one process and in two.

Each is a process that starts workflows and works on them, eight at once. Every step's result is durable before the next
step begins, and a crash repeats only what was not recorded; what either writes for that is its own matter, and the hub
also writes a row and two events for each step, and its checkpoint. The steps themselves do nearly nothing.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from app.engine.checkpoints import setup
from db.migrate import migrate
from db.session import Database
from tests.benchmarks import workflows_hub
from tests.benchmarks.cpu import Meter, of_family, of_process
from tests.benchmarks.load import ROOT
from tests.benchmarks.report import Figure
from tests.benchmarks.rounds import Measure, Sample, alternate
from tests.benchmarks.stage import Stage, open_stage

NAME = "durable five-step workflow"
HUB, DBOS = "hub", "DBOS"
MODULES = {HUB: "tests.benchmarks.workflows_hub", DBOS: "tests.benchmarks.peers.dbos_five_steps"}
AIM = 1.0
AIM_OF_GROWTH = 1.2
"""From one process to two, where PostgreSQL and what starts the workflows share two cores with them."""


@dataclass(frozen=True)
class Plan:
    """How many workflows a measurement runs, and how many rounds there are."""

    runs: int = 120
    rounds: int = 5
    warm_up: int = 16


class Contender:
    """A process that runs workflows when it is told to."""

    def __init__(self, module: str, url: str) -> None:
        command = [sys.executable, "-m", module, url]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        if self._read().strip() != "ready":
            raise RuntimeError(f"{module} did not start")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def begin(self, runs: int) -> None:
        """Let it run so many."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"runs": runs}) + "\n")
        self._process.stdin.flush()

    def await_end(self) -> float:
        """Wait until they are completed; the seconds that it took by the contender's own clock."""
        return float(json.loads(self._read())["seconds"])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about one minute."""
    plan = plan or Plan()
    with open_stage() as stage, contextlib.ExitStack() as running:
        with console.status("Migrating"):
            asyncio.run(prepare(stage.url))
        pairs = {name: [running.enter_context(started(name, stage.url)) for _ in range(2)] for name in MODULES}
        for contenders in pairs.values():
            measure(stage, contenders, plan.warm_up)
        measures: dict[str, Measure] = {
            f"{name}, {number} process{'es' * (number - 1)}": partial(measure, stage, pairs[name][:number], plan.runs)
            for number in (1, 2)
            for name in MODULES
        }
        console.print(f"{NAME}: {plan.runs} runs a measurement, {workflows_hub.AT_ONCE} at once in each process")
        found = alternate(measures, plan.rounds, lambda name, sample: console.print(told(name, sample)))
    rates = {name: sample.rate for name, sample in found.items()}
    one, dbos_one, two, dbos_two = (rates[name] for name in measures)
    return [
        Figure(NAME, one, "runs/s", DBOS, dbos_one, AIM),
        Figure(f"{NAME}, two worker processes", two, "runs/s", DBOS, dbos_two, AIM),
        Figure(f"{NAME}, from one worker process to two", two, "runs/s", "one process", one, AIM_OF_GROWTH),
    ]


async def prepare(url: str) -> None:
    """Create the tables, and store the template."""
    await migrate(url, partial(setup, url))
    database = Database(url)
    await workflows_hub.store(database)
    await database.close()


@contextlib.contextmanager
def started(name: str, url: str) -> Iterator[Contender]:
    """A contender for the length of the block."""
    contender = Contender(MODULES[name], url)
    try:
        yield contender
    finally:
        contender.stop()


def measure(stage: Stage, contenders: Sequence[Contender], runs: int) -> Sample:
    """So many workflows, shared out among the processes."""
    clocks = {f"server {number}": of_process(contender.pid) for number, contender in enumerate(contenders)}
    stop = Meter({**clocks, "database": of_family(stage.postgres.pid)}).start()
    began = time.perf_counter()
    for contender in contenders:
        contender.begin(runs // len(contenders))
    alone = [contender.await_end() for contender in contenders]
    seconds = time.perf_counter() - began if len(contenders) > 1 else alone[0]
    spent = stop({})
    server = sum(spent.by[name] for name in clocks)
    return Sample(
        runs / seconds,
        server_cpu=1000 * server / runs,
        database_cpu=1000 * spent.by["database"] / runs,
        others=spent.others,
    )


def told(name: str, sample: Sample) -> str:
    """One line about a sample."""
    return (
        f"  {name}: {sample.rate:.1f} runs/s; processor time a run: {sample.server_cpu:.1f} ms in the process, "
        f"{sample.database_cpu:.1f} ms in PostgreSQL; others took {sample.others:.0f} % of the machine"
    )
