"""A repeated read while nothing changes: the hub's kept answers beside a bare Starlette endpoint with the same body."""

import asyncio
import contextlib
from functools import partial

from rich.console import Console

from db.migrate import migrate
from tests.benchmarks import hub, load
from tests.benchmarks.cpu import Meter, of_family, of_process
from tests.benchmarks.questions import QUESTIONS
from tests.benchmarks.reads import CLIENTS, Contender, Plan, ask, job_for, told
from tests.benchmarks.report import Figure
from tests.benchmarks.rounds import Measure, alternate
from tests.benchmarks.seed import Size, seed
from tests.benchmarks.stage import open_stage

NAME = "repeated dashboard read, nothing changed"
SAME_BODY = "a bare Starlette endpoint with the same body"
AIM = 0.6
SIZE = Size(workflows=200, metrics=1_000)


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about one minute."""
    plan = plan or Plan(SIZE)
    with open_stage() as stage, contextlib.ExitStack() as running:
        with console.status("Migrating"):
            asyncio.run(migrate(stage.url))
        asyncio.run(seed(stage.url, plan.size, console))
        token, question = hub.make_token(stage.url), QUESTIONS[1]
        ours = Contender(running.enter_context(hub.serving(stage, read_cache_mb=64)), token)
        answer = ask(ours, question)
        body = stage.folder / "body.json"
        body.write_bytes(answer)
        theirs = Contender(running.enter_context(stage.serving("tests.benchmarks.peers.same_body", str(body))), token)
        measures: dict[str, Measure] = {
            name: partial(
                load.measure,
                job_for(contender, question, answer, plan),
                Meter({"server": of_process(contender.served.pid), "database": of_family(stage.postgres.pid)}),
            )
            for name, contender in (("hub", ours), (SAME_BODY, theirs))
        }
        console.print(f"{NAME}: {len(answer) / 1000:.1f} kB an answer, {CLIENTS} clients")
        found = alternate(measures, plan.rounds, lambda *sample: console.print("  " + told(*sample), soft_wrap=True))
    return [Figure(NAME, found["hub"].rate, "requests/s", SAME_BODY, found[SAME_BODY].rate, AIM)]
