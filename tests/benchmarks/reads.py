"""The nested dashboard read over HTTP: the hub beside Strawberry with DataLoaders, and beside its own SQL in pgbench.

All share one machine and one PostgreSQL: on two cores the server under test, PostgreSQL's backends and the load client
compete, so that a server's figure is the cost of the whole, its own work and PostgreSQL's and the client's. Absolute
figures mean nothing elsewhere; the ratios, of medians of rounds taken in turn, do.

Before anything is measured, hub and peer must give equal answers, and the statement given to pgbench must return the
same data; while it is measured, every answer must be that one.
"""

import asyncio
import contextlib
import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console

from db.migrate import migrate
from tests.benchmarks import hub, load, pgbench
from tests.benchmarks.cpu import Meter, of_family, of_process
from tests.benchmarks.dashboard import BODY
from tests.benchmarks.report import Figure
from tests.benchmarks.rounds import Measure, Sample, alternate
from tests.benchmarks.seed import Size, seed
from tests.benchmarks.stage import Served, Stage, open_stage

NAME = "nested dashboard read over HTTP"
HUB = "hub"
DATALOADERS = "Strawberry + DataLoaders"
SAME_SQL = "the same SQL in pgbench"
AIMS = {DATALOADERS: 14.0, SAME_SQL: 0.75}

CLIENTS = 8
ROUNDS = 9
WARM_UP = 0.5
SECONDS = 3.0
BUSY = 10.0
"""Per cent of the machine that others may use before figures are worth nothing."""


class DifferentAnswers(Exception):
    """The contenders do not do the same work, so measuring them would say nothing."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; the smallest serves the tests."""

    size: Size = field(default_factory=Size)
    rounds: int = ROUNDS
    warm_up: float = WARM_UP
    seconds: float = SECONDS


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about two and a half minutes."""
    plan = plan or Plan()
    with open_stage() as stage, contextlib.ExitStack() as running:
        with console.status("Migrating"):
            asyncio.run(migrate(stage.url))
        asyncio.run(seed(stage.url, plan.size, console))
        with console.status("Starting the contenders"):
            measures, description = running.enter_context(contenders(stage, plan))
        # nothing moves on the terminal from here on, since that would take time from what is measured
        console.print(description)
        found = alternate(measures, plan.rounds, lambda *sample: console.print("  " + told(*sample), soft_wrap=True))
    console.print("Medians:")
    for name, sample in found.items():
        console.print("  " + told(name, sample), soft_wrap=True)
    if any((sample.others or 0) > BUSY for sample in found.values()):
        console.print("[red]Others used the machine meanwhile: the figures of this run are noise.[/red]")
    rate = found[HUB].rate
    return [Figure(NAME, rate, "requests/s", peer, found[peer].rate, aim) for peer, aim in AIMS.items()]


def told(name: str, sample: Sample) -> str:
    """The sample in words."""
    latency = "" if sample.p50 is None else f", p50 {sample.p50:.1f} ms, p99 {sample.p99:.1f} ms"
    costs = {"server": sample.server_cpu, "PostgreSQL": sample.database_cpu, "client": sample.client_cpu}
    cpu = ", ".join(f"{whose} {cost:.2f}" for whose, cost in costs.items() if cost is not None)
    return f"{name}: {sample.rate:.1f} requests/s{latency}; CPU a request: {cpu} ms; others {sample.others:.0f} %"


@contextlib.contextmanager
def contenders(stage: Stage, plan: Plan) -> Iterator[tuple[Mapping[str, Measure], str]]:
    """What measures each contender, all of them ready and known to answer alike, and a line on the question.

    Raises `DifferentAnswers`.
    """
    token = hub.make_token(stage.url)
    planned = hub.plan(stage.url, stage.folder, BODY, token)
    script = stage.folder / "dashboard.sql"
    script.write_text(pgbench.script(planned.statement, planned.arguments))
    if json.loads(stage.postgres.execute(script.read_text(), "hub")) != planned.answer["data"]:
        raise DifferentAnswers("the statement alone does not return the data of the hub's answer")
    with hub.serving(stage) as ours, stage.serving("tests.benchmarks.peers.dataloaders", stage.url) as theirs:
        answers = {HUB: ask(ours, token), DATALOADERS: ask(theirs, token)}
        if len({canonical(answer) for answer in answers.values()} | {canonical_value(planned.answer)}) != 1:
            raise DifferentAnswers(f"hub and peer answer differently: {difference(answers)}")
        database = of_family(stage.postgres.pid)
        measures: dict[str, Measure] = {
            name: partial(
                load.measure,
                job_for(served, token, answers[name], plan),
                Meter({"server": of_process(served.pid), "database": database}),
            )
            for name, served in ((HUB, ours), (DATALOADERS, theirs))
        }
        measures[SAME_SQL] = partial(pgbench.measure, stage.postgres, script, CLIENTS, plan.seconds)
        yield measures, f"{NAME}: {len(answers[HUB]) / 1000:.1f} kB an answer, {CLIENTS} clients"


def job_for(served: Served, token: str, answer: bytes, plan: Plan) -> load.Job:
    """The load on one server that must give this answer."""
    request = "".join(f"{line}\r\n" for line in ("POST /graphql HTTP/1.1", *_headers(served, token), "")) + BODY
    digest = hashlib.sha256(answer).hexdigest()
    return load.Job(served.host, served.port, request, digest, CLIENTS, plan.warm_up, plan.seconds)


def _headers(served: Served, token: str) -> list[str]:
    fields = {"Host": f"{served.host}:{served.port}", "Content-Length": len(BODY.encode()), **_own_headers(token)}
    return [f"{name}: {value}" for name, value in fields.items()]


def _own_headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}


def ask(served: Served, token: str) -> bytes:
    """The answer to the question, once. Raises `DifferentAnswers` when it is none."""
    connection = http.client.HTTPConnection(served.host, served.port, timeout=load.PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/graphql", BODY, _own_headers(token))
        response = connection.getresponse()
        answer = response.read()
    if response.status != http.client.OK or "errors" in json.loads(answer):
        raise DifferentAnswers(f"status {response.status}: {answer[:2000]!r}")
    return answer


def canonical(answer: bytes) -> str:
    """The answer in a form in which equal answers are equal texts."""
    return canonical_value(json.loads(answer))


def canonical_value(value: Any) -> str:
    """As `canonical`, of what was parsed already. The order of keys counts: the specification sets it."""
    return json.dumps(value)


def difference(answers: Mapping[str, bytes]) -> str:
    """Where the answers first differ."""
    one, other = (canonical(answer) for answer in answers.values())
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{one[max(0, at - 100) : at + 100]} | {other[max(0, at - 100) : at + 100]}"
