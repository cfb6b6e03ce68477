"""Push to a thousand sockets: the fan-out beside its peers, the way from a commit to a socket, and memory a socket.

All contenders send what one and the same subscription selects, to as many sockets, which one client process a
contender holds open throughout; they are measured in turn. A contender's time goes from the begin of the hub's COMMIT,
or of the peer's request to publish, to the last socket's last message: for the hub the tail's wait and its read of the
log are in it. A burst is so many events at once that a server is busy for a while; `one event` is sent alone, the next
when all sockets have it, so that waits count for more.

The client is not the bottleneck as long as it spends well below a core while it waits for messages: its share is
printed beside the server's. For the same reason server, client and PostgreSQL should have two cores for themselves.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import psutil
from rich.console import Console

from db.migrate import migrate
from tests.benchmarks.cpu import Meter, of_family, of_process
from tests.benchmarks.fanout_client import allow_many_files
from tests.benchmarks.fanout_contenders import (
    Poster,
    Publisher,
    Seeded,
    event_log,
    openings,
    seed,
    serving_hub,
)
from tests.benchmarks.fanout_crowd import Crowd, gathered
from tests.benchmarks.live_figures import AtMost
from tests.benchmarks.live_latency import Load, commit_to_socket, keep_commit_times
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.report import Figure
from tests.benchmarks.rounds import Sample, alternate
from tests.benchmarks.stage import Served, Stage, open_stage

STRAWBERRY = "Strawberry's default"
STRAWBERRY_SQL = "Strawberry's default, which reads the agent for each socket"
STARLETTE = "a Starlette broadcast of the same bytes"
BURST_MOST = 50
"""Events at once at most: one for each agent, and few enough for any bounded queue."""
BUSY = 0.8
"""The share of a core above which the client may be what is measured."""
WARM_UPS = 20


@dataclass(frozen=True)
class Variant:
    """One way in which the hub sends, the settings that choose it, and its aims (DESIGN.md §9)."""

    name: str
    strawberry: float
    starlette: float
    environment: Mapping[str, str] = field(default_factory=dict)


VARIANTS = (Variant("hub", 30.0, 3.5), Variant("hub, plain ASGI", 15.0, 1.8, {"HUB_PLAIN_ASGI": "true"}))
"""The hub as it comes, with frames made once; and by ASGI's messages, as another server than uvicorn would have it."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; the smallest serves the tests. `seconds` is the least time of each measurement,
    `idle` how long new sockets are left alone before their memory is measured."""

    sockets: int = 1_000
    agents: int = BURST_MOST
    rounds: int = 3
    seconds: float = 1.2
    idle: float = 1.0
    load: Load = field(default_factory=Load)
    variants: Sequence[Variant] = VARIANTS


@dataclass
class Contender:
    """A server with its crowd. `memory` is what a socket takes of the server, in KiB."""

    name: str
    served: Served
    crowd: Crowd
    publisher: Publisher
    meter: Meter
    memory: float
    burst: int = 1


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about two minutes."""
    plan = plan or Plan()
    allow_many_files()
    with open_stage() as stage, contextlib.ExitStack() as stack:
        with console.status("Migrating"):
            keep_commit_times(stage.postgres)
            asyncio.run(migrate(stage.url))
            seeded = seed(stage.url, plan.agents)
        with console.status("Opening sockets"):
            hubs, message = _open_hubs(stack, stage, plan, seeded)
        # before the peers are there: their sockets' keep-alive would cost a little of the machine
        console.print(f"  commit to socket, {plan.load.pace:g} events a second:")
        figures = commit_to_socket(
            console, hubs[0].served, _database(stage, 0), hubs[0].crowd, seeded, hubs[0].meter, plan.load
        )
        with console.status("Opening sockets"):
            peers = _open_peers(stack, stage, plan, message)
        for contender in [*hubs, *peers]:
            console.print(f"  {contender.name}: {contender.memory:.0f} KiB a socket", soft_wrap=True)
        return _fan_out(console, plan, [*hubs, *peers]) + figures + _memory(hubs, peers)


# -- the contenders


def _open_hubs(stack: contextlib.ExitStack, stage: Stage, plan: Plan, seeded: Seeded) -> tuple[list[Contender], str]:
    """The hub in all variants, each on a database of its own, so that none hears of another's events; a message."""
    opened, message = [], ""
    for number, variant in enumerate(plan.variants):
        stage.postgres.create_database(f"live_{number}", "hub")
        url = _database(stage, number)
        served = stack.enter_context(serving_hub(stage, url, variant.environment))
        contender = _gather(stack, stage, variant.name, served, plan, openings(seeded.viewers))
        contender.publisher = stack.enter_context(event_log(url, seeded.agents))
        message = _warm_up(contender)
        opened.append(contender)
    return opened, message


def _database(stage: Stage, number: int) -> str:
    return stage.postgres.url(f"live_{number}")


def _open_peers(stack: contextlib.ExitStack, stage: Stage, plan: Plan, message: str) -> list[Contender]:
    module = "tests.benchmarks.peers."
    peers = {
        STRAWBERRY: (("strawberry_live", stage.url), "/graphql", openings([""])),
        STRAWBERRY_SQL: (("strawberry_live", stage.url), "/with-sql", openings([""])),
        STARLETTE: (("starlette_broadcast",), "/graphql", []),
    }
    opened = []
    for name, ((file, *arguments), path, opening) in peers.items():
        served = stack.enter_context(stage.serving(module + file, *arguments))
        contender = _gather(stack, stage, name, served, plan, opening, path)
        contender.publisher = stack.enter_context(contextlib.closing(Poster(served, message)))
        _warm_up(contender)
        opened.append(contender)
    return opened


class _Nobody:
    """Publishes nothing."""

    def prepare(self, count: int) -> None:
        raise AssertionError(count)

    def publish(self) -> float:
        raise AssertionError


def _gather(
    stack: contextlib.ExitStack,
    stage: Stage,
    name: str,
    served: Served,
    plan: Plan,
    opening: Sequence[Sequence[str]],
    path: str = "/graphql",
) -> Contender:
    """The server with its sockets, idle so far."""
    # what a first socket brings with it is not a socket's
    with gathered(served, path, 1, opening[:1]) as first:
        first.settle()
    before = _resident(served)
    crowd = stack.enter_context(gathered(served, path, plan.sockets, opening))
    crowd.settle(plan.idle)
    memory = (_resident(served) - before) / plan.sockets / 1024
    meter = Meter({"server": of_process(served.pid), "database": of_family(stage.postgres.pid)})
    return Contender(name, served, crowd, _Nobody(), meter, memory)


def _resident(served: Served) -> int:
    """Bytes of memory that the server has."""
    return int(psutil.Process(served.pid).memory_info().rss)


def _warm_up(contender: Contender) -> str:
    """Send single events until one has come to all sockets; a message. Raises `WrongAnswer`."""
    for _ in range(WARM_UPS):
        contender.crowd.forget()
        contender.publisher.prepare(1)
        contender.publisher.publish()
        least, message = contender.crowd.settle()
        if least and message:
            return message
    raise WrongAnswer(f"{contender.name} does not send to all sockets")


# -- fan-out


def _fan_out(console: Console, plan: Plan, contenders: Sequence[Contender]) -> list[Figure]:
    for contender in contenders:
        # so many events that a burst takes about a fifth of a measurement
        pace = _measure(contender, plan, 2, 0.0)
        contender.burst = max(2, min(plan.agents, int(pace.rate * plan.seconds / plan.sockets / 5)))
    figures = []
    for what, burst in (("burst", True), ("one event", False)):
        measures = {
            contender.name: partial(_measure, contender, plan, contender.burst if burst else 1, plan.seconds)
            for contender in contenders
        }
        sizes = ", ".join(f"{contender.name} {contender.burst}" for contender in contenders)
        console.print(f"  to {plan.sockets} sockets, {what}" + (f" (events: {sizes})" if burst else ""), soft_wrap=True)
        found = alternate(measures, plan.rounds, lambda name, sample: _tell(console, name, sample))
        most = max(_of_a_core(sample, sample.client_cpu) for sample in found.values())
        verdict = "it was not the bottleneck" if most <= BUSY else "[red]it may be what was measured[/red]"
        console.print(f"    the client used {100 * most:.0f} % of a core at most: {verdict}", soft_wrap=True)
        figures += list(fan_out_figures(f"fan-out to {plan.sockets:,} sockets, {what}", plan.variants, found))
    return figures


def _measure(contender: Contender, plan: Plan, events: int, seconds: float) -> Sample:
    """Send as many events at a time until the time is over; latency is that of the last socket."""
    stop = contender.meter.start()
    messages, took, client, longest = 0, 0.0, 0.0, 0.0
    while took < seconds or not messages:
        began = 0.0

        def send() -> None:
            nonlocal began
            began = contender.publisher.publish()

        contender.publisher.prepare(events)
        received = contender.crowd.receive(events, send)
        messages += events * plan.sockets
        took += received.last - began
        longest = max(longest, received.last - began)
        client += received.cpu
    spent = stop({"client": client})
    costs = {f"{name}_cpu": 1000 * seconds / messages for name, seconds in spent.by.items()}
    rounds = messages / events / plan.sockets
    return Sample(messages / took, 1000 * took / rounds, 1000 * longest, **costs, others=spent.others)


def _tell(console: Console, name: str, sample: Sample) -> None:
    parts = {"server": sample.server_cpu, "client": sample.client_cpu, "database": sample.database_cpu}
    told = ", ".join(f"{part} {100 * _of_a_core(sample, cost):.0f} %" for part, cost in parts.items())
    console.print(
        f"    {name}: {sample.rate:,.0f} messages/s, all sockets served after {sample.p50 or 0:.0f} ms on average; "
        f"{1000 * (sample.server_cpu or 0):.1f} µs of the server's time a message; of a core: {told}; "
        f"others took {sample.others or 0:.0f} % of the machine",
        soft_wrap=True,
    )


def _of_a_core(sample: Sample, cost: float | None) -> float:
    """The share of a core that is spent at the sample's rate and this cost, in ms a message."""
    return sample.rate * (cost or 0.0) / 1000


def fan_out_figures(name: str, variants: Sequence[Variant], found: Mapping[str, Sample]) -> Iterator[Figure]:
    """Each variant of the hub beside each peer."""
    for variant in variants:
        aims = {STRAWBERRY: variant.strawberry, STRAWBERRY_SQL: variant.strawberry, STARLETTE: variant.starlette}
        title = name if variant.name == "hub" else f"{name} ({variant.name})"
        for peer, aim in aims.items():
            yield Figure(title, found[variant.name].rate, "messages/s", peer, found[peer].rate, aim)


def _memory(hubs: Sequence[Contender], peers: Sequence[Contender]) -> list[Figure]:
    """The peer that has the same to do."""
    peer = next(contender for contender in peers if contender.name == STRAWBERRY)
    return [
        AtMost(f"memory a socket ({contender.name})", contender.memory, "KiB", peer.name, peer.memory, 1.0)
        for contender in hubs
    ]
