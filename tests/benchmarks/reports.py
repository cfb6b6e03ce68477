"""Two hundred agents that report every second: the hub, which joins reports, beside one statement a report.

The hub is the real process, asked over HTTP. The peer runs the very same statement, in transactions of its own, for
one report each, through as many connections; it has no HTTP, no GraphQL and no event log to follow, so that only what
PostgreSQL does is compared: by its own log (statement_log.py). In a further part of the run agents work on tasks and
are renamed meanwhile, and every one of those transitions gives the version that it read: a report must make none stale.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from app.domain.agents import AgentRole
from app.domain.principals import SYSTEM, Role
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.services.agents import RegisterAgent, register_agent
from app.services.reports import ReportAgent, stored_form
from app.settings import Settings
from db.migrate import migrate
from db.queries.agents import merge_reports
from db.session import Database
from tests.benchmarks import hub
from tests.benchmarks.load import percentiles
from tests.benchmarks.report import Figure
from tests.benchmarks.reporters import FIGURES, Tally, every_second, over_http
from tests.benchmarks.stage import Served, Stage, open_stage
from tests.benchmarks.statement_log import SWITCH_ON, StatementLog, Transactions

NAME = "200 agents reporting every second"
PEER = "the same statement for each report"
MERGE = "jsonb_to_recordset"
"""What only the statement that merges reports has in it."""
WAYS = {"in step": False, "spread over the second": True}
JOINED_AIMS = {"in step": 10.0, "spread over the second": 3.0}
TIME_AIMS = {"in step": 4.0, "spread over the second": 2.0}
SETTLE = 0.3
"""Seconds until what was asked is in the log."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; the smallest serves the tests."""

    agents: int = 200
    rounds: int = 3
    workers: int = 4


@dataclass(frozen=True)
class Cost:
    """What so many reports cost PostgreSQL."""

    reports: int
    spent: Transactions

    @property
    def joined(self) -> float:
        """Reports a statement."""
        return self.reports / self.spent.count

    @property
    def rate(self) -> float:
        """Reports a second of the database's time."""
        return self.reports / self.spent.seconds


def run(console: Console, plan: Plan | None = None) -> list[Figure]:
    """Measure; about half a minute."""
    plan = plan or Plan()
    with open_stage() as stage:
        with console.status("Migrating"):
            asyncio.run(migrate(stage.url))
        agents, token = asyncio.run(_prepare(stage.url, plan))
        stage.postgres.execute(SWITCH_ON, "hub")
        with hub.serving(stage) as served:
            return asyncio.run(_measure(console, stage, served, token, agents, plan))


async def _prepare(url: str, plan: Plan) -> tuple[list[str], str]:
    """The agents, registered, and a token that may report for all of them."""
    database, secret = Database(url), new_secret()
    agents = [f"agent-{number:03}" for number in range(plan.agents)]
    try:
        await database.transact(lambda session: create_token(session, SYSTEM, CreateToken("bench", Role.ADMIN, secret)))
        for agent_id in agents:
            # each takes its own tasks only, so that claims do not race and every refusal would be a report's fault
            command = RegisterAgent(agent_id, AgentRole.DEVELOPER, capabilities=[agent_id])
            await database.transact(lambda session: register_agent(session, SYSTEM, command))  # noqa: B023
    finally:
        await database.close()
    return agents, secret


async def _measure(
    console: Console, stage: Stage, served: Served, token: str, agents: Sequence[str], plan: Plan
) -> list[Figure]:
    figures: list[Figure] = []
    await over_http(served, token, agents, 1, spread=False, workers=0)
    for way, spread in WAYS.items():
        log = StatementLog(stage.postgres.pgdata / "log")
        tally = await over_http(served, token, agents, plan.rounds, spread=spread, workers=0)
        ours = await _cost(log, len(tally.latencies))
        theirs = await _peer(stage, agents, plan.rounds, spread=spread)
        console.print(f"  hub, {way}: {_told(ours)}; {_answered(tally)}", soft_wrap=True)
        console.print(f"  {PEER}, {way}: {_told(theirs)}", soft_wrap=True)
        figures += [
            Figure(f"{NAME}, {way}", ours.joined, "reports/statement", PEER, theirs.joined, JOINED_AIMS[way]),
            Figure(f"{NAME}, {way}", ours.rate, "reports/s of database time", PEER, theirs.rate, TIME_AIMS[way]),
        ]
    tally = await over_http(served, token, agents, plan.rounds, spread=True, workers=plan.workers)
    console.print(f"  with transitions beside: {_counted(tally.transitions)}; {_answered(tally)}", soft_wrap=True)
    total, fresh = tally.transitions.total(), tally.transitions.total() - tally.transitions["STALE_VERSION"]
    figures.append(
        Figure(f"{NAME}, transitions beside", fresh, "transitions without a conflict", "all of them", total, 1.0)
    )
    return figures


async def _peer(stage: Stage, agents: Sequence[str], rounds: int, *, spread: bool) -> Cost:
    database = Database(stage.url, pool_size=Settings.model_fields["pool_size"].default)

    async def report(_: int, agent_id: str) -> None:
        command = ReportAgent(agent_id, datetime.now(UTC), *FIGURES.values())
        await database.transact(lambda session: merge_reports(session, [stored_form(SYSTEM, command)]))

    try:
        await every_second(agents, 1, spread=spread, report=report)
        log = StatementLog(stage.postgres.pgdata / "log")
        latencies = await every_second(agents, rounds, spread=spread, report=report)
        return await _cost(log, len(latencies))
    finally:
        await database.close()


async def _cost(log: StatementLog, reports: int) -> Cost:
    await asyncio.sleep(SETTLE)
    return Cost(reports, log.transactions(MERGE))


def _told(cost: Cost) -> str:
    each = 1000 * cost.spent.seconds / cost.reports
    return f"{cost.reports} reports in {cost.spent.count} statements, {each:.2f} ms of the database's time a report"


def _answered(tally: Tally) -> str:
    p50, p99 = percentiles(tally.latencies)
    return f"answered in p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms"


def _counted(transitions: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(transitions.items()))
