"""What agents report is bounded, judged by the hub's clock, joined, and changes no agent's version."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from app.domain.errors import InvalidInput, NotFound
from app.domain.json_schemas import KEYS_MAX
from app.services.agents import UpdateAgent, update_agent
from app.services.reports import ReportAgent, ReportWriter
from db.queries import agents as queries
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.events import event_log
from tests.services.makers import ADMIN, agent_principal, an_agent, count, row_of, run

JAMES = agent_principal("james-dev")
SECONDS = [timedelta(seconds=number) for number in range(10)]


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[ReportWriter]:
    await an_agent(database)
    writer = ReportWriter(database)
    await writer.start()
    yield writer
    await writer.stop()


def ago(**options: float) -> datetime:
    return datetime.now(UTC) - timedelta(**options)


async def kept(database: Database) -> Any:
    return await row_of(database, agent_reports, agent_id="james-dev")


def figures(prefix: str, number: int) -> dict[str, int]:
    return {f"{prefix}.{index:03}": index for index in range(number)}


async def test_of_each_section_those_stay_that_were_observed_last(database: Database, writer: ReportWriter) -> None:
    now = ago(minutes=1)
    await writer.report(JAMES, ReportAgent("james-dev", now, figures("old", KEYS_MAX), {"done": 1}))
    assert len((await kept(database)).observed) == KEYS_MAX + 1
    await writer.report(JAMES, ReportAgent("james-dev", now + SECONDS[1], figures("new", 150), figures("other", 150)))
    row = await kept(database)
    assert row.resource_utilization == figures("new", 150) | figures("old", 50)
    assert row.performance_metrics == {"done": 1} | figures("other", 150)
    assert set(row.observed) == {
        *(f"resource_utilization.{key}" for key in row.resource_utilization),
        *(f"performance_metrics.{key}" for key in row.performance_metrics),
    }
    # what was observed before all that is kept does not come in
    await writer.report(JAMES, ReportAgent("james-dev", now - SECONDS[1], figures("older", 10)))
    after = await kept(database)
    assert (after.resource_utilization, after.performance_metrics, after.observed) == (
        row.resource_utilization, row.performance_metrics, row.observed,
    )  # fmt: skip
    assert after.last_activity > row.last_activity
    # and a name that had to go may come back
    await writer.report(JAMES, ReportAgent("james-dev", now + SECONDS[2], figures("old", KEYS_MAX)))
    assert (await kept(database)).resource_utilization == figures("old", KEYS_MAX)


@pytest.mark.parametrize(
    "bad",
    [
        figures("x", KEYS_MAX + 1),
        {"": 1},
        {"k" * 101: 1},
        {"text": "x" * 1_001},
        {"list": list(range(101))},
        {"deep": [[1]]},
        {"large": {f"k{index}": "x" * 100 for index in range(50)}},
        {"wide": {f"k{index}": 1 for index in range(101)}},
        {"nul": "\x00"},
        {"nan": float("nan")},
    ],
    ids=lambda bad: str(next(iter(bad)))[:8],
)
async def test_what_is_no_figure_or_too_much_is_refused(
    database: Database, writer: ReportWriter, bad: dict[str, Any]
) -> None:
    before = await count(database, event_log)
    for command, field in [
        (ReportAgent("james-dev", ago(), bad), "input.resourceUtilization"),
        (ReportAgent("james-dev", ago(), {}, bad), "input.performanceMetrics"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            await writer.report(JAMES, command)
        assert caught.value.field == field
    assert (await kept(database)).observed == {}
    assert await count(database, event_log) == before


async def test_the_largest_figures_are_taken(database: Database, writer: ReportWriter) -> None:
    large = {"text": "x" * 1_000, "list": list(range(100)), "many": {f"k{index}": index for index in range(100)}}
    await writer.report(JAMES, ReportAgent("james-dev", ago(), large))
    assert (await kept(database)).resource_utilization == large


async def test_an_observation_of_long_ago_is_refused_and_takes_no_other_with_it(
    database: Database, writer: ReportWriter
) -> None:
    await an_agent(database, "jane-dev")
    refused, unknown, taken = await asyncio.gather(
        writer.report(JAMES, ReportAgent("james-dev", ago(hours=24, seconds=1), {"cpu": 1})),
        writer.report(ADMIN, ReportAgent("no-one", ago(), {"cpu": 1})),
        writer.report(ADMIN, ReportAgent("jane-dev", ago(hours=23, minutes=59), {"cpu": 1})),
        return_exceptions=True,
    )
    assert isinstance(refused, InvalidInput)
    assert refused.field == "input.observedAt"
    assert isinstance(unknown, NotFound)
    assert taken is None
    assert (await kept(database)).observed == {}
    assert (await row_of(database, agent_reports, agent_id="jane-dev")).resource_utilization == {"cpu": 1}


async def test_of_several_that_arrive_in_any_order_each_key_has_its_newest(
    database: Database, writer: ReportWriter
) -> None:
    now = ago(minutes=1)
    reports = [
        ReportAgent("james-dev", now + SECONDS[place], {"a": place, f"only-{place}": place}, {"a": -place})
        for place in (3, 0, 4, 1, 2)
    ]
    await asyncio.gather(*(writer.report(JAMES, report) for report in reports))
    row = await kept(database)
    assert row.resource_utilization == {"a": 4} | {f"only-{place}": place for place in range(5)}
    assert row.performance_metrics == {"a": -4}


async def test_many_reports_are_few_statements_and_change_no_version(
    database: Database, writer: ReportWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"dev-{number:03}" for number in range(200)]
    for name in names:
        await an_agent(database, name)
    written: list[int] = []
    merge = queries.merge_reports

    async def counted(session: Any, reports: Any) -> Any:
        written.append(len(reports))
        return await merge(session, reports)

    monkeypatch.setattr("app.services.reports.merge_reports", counted)
    commands = [ReportAgent(name, ago(), {"turn": turn}) for turn in range(2) for name in names]
    await asyncio.gather(*(writer.report(ADMIN, command) for command in commands))
    # all were there when the first was written, and of one agent only one goes in a statement
    assert written == [200, 200]
    versions = await database.transact(lambda session: session.execute(select(agents.c.version)))
    assert set(versions.scalars()) == {1}
    xids = text("SELECT count(DISTINCT xid), count(*) FROM event_log WHERE event_type = 'reported'")
    assert tuple((await database.transact(lambda session: session.execute(xids))).one()) == (2, 400)


async def test_a_report_makes_no_transition_stale_and_waits_for_none(database: Database, writer: ReportWriter) -> None:
    agent = await row_of(database, agents, agent_id="james-dev")

    async def rename(session: Any) -> Any:
        row = await update_agent(session, ADMIN, UpdateAgent("james-dev", agent.version, agent_name="Jim"))
        # the agent's row is locked, and its report is stored all the same
        async with asyncio.timeout(5):
            await writer.report(JAMES, ReportAgent("james-dev", ago(), {"cpu": 1}))
        return row

    assert (await database.transact(rename)).version == agent.version + 1
    after = await run(database, update_agent, ADMIN, UpdateAgent("james-dev", agent.version + 1, agent_name="James"))
    assert after.version == agent.version + 2
