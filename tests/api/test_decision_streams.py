"""Every change of a decision and of a model assignment is pushed, with the entity as it is; each once, in order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.domain.events import Aggregate
from app.domain.model_assignments import AssignmentReason, ModelChoice, Provider
from app.live.hints import HintSender
from app.live.records import EventFilter
from app.live.tail import EventTail
from app.services.decisions import (
    AnnotateDecision,
    EraseDecision,
    annotate_decision,
    erase_decision,
    record_decision,
)
from app.services.model_assignments import FailAssignment, RecordAssignment, fail_assignment, record_assignment
from app.services.reports import ReportWriter
from db.session import Database
from graphql_schema.context import HubContext
from graphql_schema.schema import build_schema
from graphql_schema.streams.hub import StreamHub
from tests.services.deciding import JOHN, a_decision
from tests.services.makers import ADMIN, SEALER, a_running_task, an_agent, an_execution, run
from tests.streams.listening import listen

SCHEMA = build_schema()


@pytest.fixture
async def context(database: Database, database_url: str) -> AsyncIterator[HubContext]:
    hints = HintSender(database)
    tail = EventTail(database_url, hints)
    await hints.start()
    await tail.start()
    yield HubContext(ADMIN, database, tail, SEALER, ReportWriter(database))
    await tail.stop()
    await hints.stop()


async def a_cursor(context: HubContext) -> str:
    """A place in the log before all that the test does."""
    async with asyncio.timeout(20), context.tail.follow(EventFilter(Aggregate.AGENT)) as events:
        await an_agent(context.database, "early-bird")
        return (await anext(events)).cursor


async def follow(context: HubContext, field: str, selection: str, number: int, **arguments: str) -> list[Any]:
    """The next payloads, so many, after the test's cursor."""
    given = ", ".join(f'{name}: "{value}"' for name, value in arguments.items())
    streams = StreamHub(SCHEMA, lambda _: context)
    listener = await listen(streams, f"subscription {{ {field}({given}) {{ eventType version {selection} }} }}")
    payloads = await listener.take(number)
    await listener.leave()
    assert streams.streams == 0
    return payloads


async def test_decisions(database: Database, context: HubContext) -> None:
    cursor = await a_cursor(context)
    execution = await an_execution(database)
    other = await run(database, record_decision, JOHN, a_decision(), SEALER)
    mine = await run(database, record_decision, JOHN, a_decision(execution_id=execution.execution_id), SEALER)
    await run(database, annotate_decision, JOHN, AnnotateDecision(mine.decision_id, 1, "Ask earlier."))
    await run(database, erase_decision, ADMIN, EraseDecision(mine.decision_id, 2, "asked to"))
    selection = "decision { learningNotes sealed { access } }"
    now = {"learningNotes": "Ask earlier.", "sealed": {"access": "ERASED"}}
    expected = [
        {"eventType": kind, "version": version, "decision": now}
        for version, kind in enumerate(("recorded", "annotated", "erased"), 1)
    ]
    by_execution = {"executionId": str(execution.execution_id), "after": cursor}
    assert await follow(context, "decisionChanged", selection, 3, **by_execution) == expected
    by_id = {"decisionId": str(mine.decision_id), "after": cursor}
    assert await follow(context, "decisionChanged", selection, 3, **by_id) == expected
    every = await follow(context, "decisionChanged", "decision { decisionId }", 4, after=cursor)
    assert [change["decision"]["decisionId"] for change in every] == [
        str(row.decision_id) for row in (other, mine, mine, mine)
    ]


async def test_model_assignments(database: Database, context: HubContext) -> None:
    cursor = await a_cursor(context)
    await an_agent(database)
    task = await a_running_task(database)
    choice = RecordAssignment(
        "james-dev",
        task.task_id,
        Provider.CLAUDE_CODE,
        "claude-sonnet-4",
        AssignmentReason.COMPLEXITY_HIGH,
        fallbacks=[ModelChoice(Provider.ZAI_GLM, "glm-4.5")],
    )
    first = await run(database, record_assignment, ADMIN, choice)
    failed = FailAssignment(first.assignment_id, first.version, "Overloaded.")
    _, fallback = await run(database, fail_assignment, ADMIN, failed)
    selection = "modelAssignment { modelName assignmentStatus }"
    sonnet, glm = (
        {"modelName": "claude-sonnet-4", "assignmentStatus": "FAILED"},
        {"modelName": "glm-4.5", "assignmentStatus": "ACTIVE"},
    )
    told = [("recorded", 1, sonnet), ("activated", 2, sonnet), ("failed", 3, sonnet), ("recorded", 1, glm),
            ("activated", 2, glm)]  # fmt: skip
    expected = [{"eventType": kind, "version": version, "modelAssignment": shown} for kind, version, shown in told]
    by_agent = {"agentId": "james-dev", "after": cursor}
    assert await follow(context, "modelAssignmentChanged", selection, 5, **by_agent) == expected
    by_id = {"assignmentId": str(fallback.assignment_id), "after": cursor}
    assert await follow(context, "modelAssignmentChanged", selection, 2, **by_id) == expected[3:]


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("decisionChanged", 'decisionId: "x"'),
        ("decisionChanged", 'executionId: "x"'),
        ("modelAssignmentChanged", 'assignmentId: "x"'),
        ("modelAssignmentChanged", 'agentId: "x"'),
        ("modelAssignmentChanged", 'executionId: "x"'),
    ],
)
async def test_a_malformed_id_is_refused(context: HubContext, field: str, argument: str) -> None:
    streams = StreamHub(SCHEMA, lambda _: context)
    listener = await listen(streams, f"subscription {{ {field}({argument}) {{ cursor }} }}")
    name, _, _ = argument.partition(":")
    assert [error["extensions"] for error in await listener.refusal()] == [{"code": "INVALID_INPUT", "field": name}]
