"""Reads over HTTP: the hub beside PostGraphile 5, Strawberry with DataLoaders, and its own SQL in pgbench.

Three questions: one agent, the nested dashboard, and a page of five roots with aggregates. All contenders share one
machine and one PostgreSQL: on two cores the server under test, PostgreSQL's backends and the load client compete, so
that a server's figure is the cost of the whole, its own work and PostgreSQL's and the client's. Absolute figures mean
nothing elsewhere; the ratios, of medians of rounds taken in turn, do.

Before anything is measured, hub and peers must give equal answers, and the statement given to pgbench must return the
same data; while it is measured, every answer must be that one. PostGraphile has other names for enum values and another
form of aggregates: its answer must tell the same, value for value (retelling.py).
"""

import asyncio
import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from db.migrate import migrate
from tests.benchmarks import hub, load, pgbench, postgraphile
from tests.benchmarks.cpu import Meter, of_family, of_process
from tests.benchmarks.questions import QUESTIONS, Question
from tests.benchmarks.report import Figure
from tests.benchmarks.retelling import plain, plain_postgraphile
from tests.benchmarks.rounds import Measure, Sample, alternate
from tests.benchmarks.seed import Size, seed
from tests.benchmarks.stage import Served, Stage, open_stage
from tests.contracts import npm

HUB = "hub"
POSTGRAPHILE = "PostGraphile 5"
DATALOADERS = "Strawberry + DataLoaders"
SAME_SQL = "the same SQL in pgbench"
AIMS = {POSTGRAPHILE: 2.5, DATALOADERS: 14.0, SAME_SQL: 0.75}

CLIENTS = 8
ROUNDS = 7
WARM_UP = 0.5
SECONDS = 3.0
BUSY = 10.0
"""Per cent of the machine that others may use before figures are worth nothing."""


class DifferentAnswers(Exception):
    """The contenders do not do the same work, so measuring them would say nothing."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; the smallest serves the tests. PostGraphile is installed if `install` says so."""

    size: Size = field(default_factory=Size)
    rounds: int = ROUNDS
    warm_up: float = WARM_UP
    seconds: float = SECONDS
    install: bool = True


@dataclass(frozen=True)
class Contender:
    """A server, and what it is sent: the hub's words or PostGraphile's."""

    served: Served
    token: str
    in_sql_names: bool = False

    def body(self, question: Question) -> str:
        """The request's body."""
        return question.postgraphile_body if self.in_sql_names else question.body

    def plain(self, answer: bytes) -> Any:
        """Its answer in the form that is common to all."""
        data = json.loads(answer)["data"]
        return plain_postgraphile(data) if self.in_sql_names else plain(data)


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about six minutes."""
    plan = plan or Plan()
    peer = find_postgraphile(console, plan)
    with open_stage() as stage, contextlib.ExitStack() as running:
        with console.status("Migrating"):
            asyncio.run(migrate(stage.url))
        asyncio.run(seed(stage.url, plan.size, console))
        with console.status("Starting the contenders"):
            servers = running.enter_context(serving(stage, peer))
            bodies = [question.body for question in QUESTIONS]
            planned = hub.plans(stage.url, stage.folder, bodies, servers[HUB].token)
        return [
            figure
            for question, statement in zip(QUESTIONS, planned, strict=True)
            for figure in compare(console, stage, servers, question, statement, plan)
        ]


def find_postgraphile(console: Console, plan: Plan) -> Path | None:
    """Where PostGraphile is, set up if need be; where it cannot be, one line says why and it is left out."""
    if not plan.install and not npm.is_installed(postgraphile.PACKAGE):
        return None
    try:
        with console.status("Setting up PostGraphile in build/"):
            return npm.installed(postgraphile.PACKAGE)
    except npm.CannotInstall as reason:
        console.print(f"{POSTGRAPHILE} is left out of this run: {reason}", soft_wrap=True, markup=False)
        return None


@contextlib.contextmanager
def serving(stage: Stage, peer: Path | None) -> Iterator[Mapping[str, Contender]]:
    """All that answer over HTTP."""
    with contextlib.ExitStack() as running:
        token = hub.make_token(stage.url)
        servers = {HUB: Contender(running.enter_context(hub.serving(stage)), token)}
        if peer is not None:
            served = running.enter_context(postgraphile.serving(stage, peer))
            servers[POSTGRAPHILE] = Contender(served, token, in_sql_names=True)
        served = running.enter_context(stage.serving("tests.benchmarks.peers.dataloaders", stage.url))
        servers[DATALOADERS] = Contender(served, token)
        yield servers


def compare(
    console: Console,
    stage: Stage,
    servers: Mapping[str, Contender],
    question: Question,
    planned: hub.Planned,
    plan: Plan,
) -> list[Figure]:
    """Measure all contenders on one question. Raises `DifferentAnswers`."""
    with console.status(f"Comparing the answers: {question.name}"):
        measures, length = contenders(stage, servers, question, planned, plan)
    # nothing moves on the terminal from here on, since that would take time from what is measured
    console.print(f"{question.name}: {length / 1000:.1f} kB an answer, {CLIENTS} clients")
    found = alternate(measures, plan.rounds, lambda *sample: console.print("  " + told(*sample), soft_wrap=True))
    console.print("Medians:")
    for name, sample in found.items():
        console.print("  " + told(name, sample), soft_wrap=True)
    if any((sample.others or 0) > BUSY for sample in found.values()):
        console.print("[red]Others used the machine meanwhile: the figures of this run are noise.[/red]")
    rate = found[HUB].rate
    return [
        Figure(question.name, rate, "requests/s", peer, found[peer].rate, aim)
        for peer, aim in AIMS.items()
        if peer in found
    ]


def told(name: str, sample: Sample) -> str:
    """The sample in words."""
    latency = "" if sample.p50 is None else f", p50 {sample.p50:.1f} ms, p99 {sample.p99:.1f} ms"
    costs = {"server": sample.server_cpu, "PostgreSQL": sample.database_cpu, "client": sample.client_cpu}
    cpu = ", ".join(f"{whose} {cost:.2f}" for whose, cost in costs.items() if cost is not None)
    return f"{name}: {sample.rate:.1f} requests/s{latency}; CPU a request: {cpu} ms; others {sample.others:.0f} %"


def contenders(
    stage: Stage, servers: Mapping[str, Contender], question: Question, planned: hub.Planned, plan: Plan
) -> tuple[Mapping[str, Measure], int]:
    """What measures each contender, known to answer alike, and the length of the hub's answer in bytes.

    Raises `DifferentAnswers`.
    """
    script = stage.folder / "question.sql"
    script.write_text(pgbench.script(planned.statement, planned.arguments))
    if json.loads(stage.postgres.execute(script.read_text(), "hub")) != planned.answer["data"]:
        raise DifferentAnswers("the statement alone does not return the data of the hub's answer")
    answers = {name: ask(contender, question) for name, contender in servers.items()}
    require_equal(servers, answers, planned.answer)
    database = of_family(stage.postgres.pid)
    measures: dict[str, Measure] = {
        name: partial(
            load.measure,
            job_for(contender, question, answers[name], plan),
            Meter({"server": of_process(contender.served.pid), "database": database}),
        )
        for name, contender in servers.items()
    }
    measures[SAME_SQL] = partial(pgbench.measure, stage.postgres, script, CLIENTS, plan.seconds)
    return measures, len(answers[HUB])


def require_equal(servers: Mapping[str, Contender], answers: Mapping[str, bytes], planned: Any) -> None:
    """Those who are sent the same must answer the same text, all of them the same values. Raises `DifferentAnswers`."""
    expected = canonical(json.loads(answers[HUB]))
    others = {"the hub asked in this process": canonical(planned)}
    for name, contender in servers.items():
        if not contender.in_sql_names:
            others[name] = canonical(json.loads(answers[name]))
    for name, other in others.items():
        if other != expected:
            raise DifferentAnswers(f"{name} answers differently: {difference(expected, other)}")
    values = repr(servers[HUB].plain(answers[HUB]))
    for name, contender in servers.items():
        other = repr(contender.plain(answers[name]))
        if other != values:
            raise DifferentAnswers(f"{name} tells something else: {difference(values, other)}")


def job_for(contender: Contender, question: Question, answer: bytes, plan: Plan) -> load.Job:
    """The load on one server that must give this answer."""
    served, body = contender.served, contender.body(question)
    fields = {"Host": f"{served.host}:{served.port}", "Content-Length": len(body.encode()), **_headers(contender.token)}
    lines = ("POST /graphql HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "")
    request = "".join(f"{line}\r\n" for line in lines) + body
    retold = contender.in_sql_names
    digest = load.digest(answer, retold=retold)
    return load.Job(served.host, served.port, request, digest, CLIENTS, plan.warm_up, plan.seconds, retold)


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}


def ask(contender: Contender, question: Question) -> bytes:
    """The answer to the question, once. Raises `DifferentAnswers` when it is none."""
    served = contender.served
    connection = http.client.HTTPConnection(served.host, served.port, timeout=load.PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/graphql", contender.body(question), _headers(contender.token))
        response = connection.getresponse()
        answer = response.read()
    if response.status != http.client.OK or "errors" in json.loads(answer):
        raise DifferentAnswers(f"status {response.status}: {answer[:2000]!r}")
    return answer


def canonical(answer: Any) -> str:
    """A form in which equal answers are equal texts. The order of keys counts: the specification sets it."""
    return json.dumps(answer)


def difference(one: str, other: str) -> str:
    """Where the texts first differ."""
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{one[max(0, at - 100) : at + 100]} | {other[max(0, at - 100) : at + 100]}"
