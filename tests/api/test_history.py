"""The export of an execution's history: read back and held against the database, row by row."""

import json
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Unavailable
from app.domain.ids import new_id
from app.domain.principals import Principal, Role
from app.domain.workflows import ErrorSeverity
from app.services.history import export_history
from app.services.workflow_errors import note_error
from app.web.history import EXPORTS_MAX, HistoryDownload
from db.session import Database
from tests.api.conftest import Client, MakeClient
from tests.api.test_flow import _approved, _decided_and_started, _worked
from tests.benchmarks.long_steps import seed_steps
from tests.services.makers import ADMIN, SEALER, a_gate, a_template

OWN = {"event_xid", "lease_owner", "lease_until", "wake_seq", "handled_seq", "fence"}
SEALED = {"context_data_sealed", "reasoning_process_sealed", "sealed_key"}
NOBODY = "0190c0de-0000-7000-8000-000000000001"

ROWS = {
    "steps": "workflow_steps t WHERE execution_id = :id ORDER BY step_number",
    "tasks": "tasks t WHERE execution_id = :id ORDER BY task_id",
    "task_progress": "task_progress t JOIN tasks USING (task_id) WHERE execution_id = :id",
    "quality_gates": "quality_gates t WHERE workflow_execution_id = :id ORDER BY gate_id",
    "gate_reviews": "gate_reviewers t JOIN quality_gates USING (gate_id) WHERE workflow_execution_id = :id",
    "decision_evidence": "decision_evidence t WHERE execution_id = :id",
    "model_assignments": "model_assignments t WHERE execution_id = :id ORDER BY assignment_id",
    "messages": "agent_messages t WHERE body = 'heard'",
    "signals": "workflow_signals t WHERE execution_id = :id",
    "errors": "workflow_errors t WHERE execution_id = :id ORDER BY error_id",
    "decisions": "decisions t WHERE outcome <> 'of the other' ORDER BY decision_id",
    "events": """event_log t WHERE entity_id = CAST(CAST(:id AS uuid) AS text)
        OR entity_id IN (SELECT CAST(task_id AS text) FROM tasks WHERE execution_id = :id)
        OR entity_id IN (SELECT CAST(gate_id AS text) FROM quality_gates WHERE workflow_execution_id = :id)
        OR entity_id IN (SELECT CAST(assignment_id AS text) FROM model_assignments WHERE execution_id = :id)
        OR entity_id IN (SELECT CAST(decision_id AS text) FROM decisions WHERE outcome <> 'of the other')
        ORDER BY xid, id""",
}
"""What must be in each section, said once more without the code that writes it."""

MORE = """
INSERT INTO gate_reviewers (review_id, gate_id, reviewer, score, feedback) VALUES (:a, :gate, 'Ann', 7.5, 'well made');
INSERT INTO decision_evidence (evidence_id, decision_id, execution_id, interval_start, interval_end, snapshot)
    VALUES (:b, :decision, :execution, now() - interval '1 h', now(), jsonb_build_object('cpu', 1.5));
INSERT INTO agent_messages (message_id, from_agent_id, sent_by, body) VALUES (:c, 'james-dev', 'james-dev', 'heard');
INSERT INTO agents (agent_id, agent_name, agent_role) VALUES ('maria-qa', 'Maria', 'qa');
INSERT INTO agent_messages (message_id, from_agent_id, sent_by, body) VALUES (:d, 'maria-qa', 'maria-qa', 'elsewhere');
INSERT INTO workflow_steps (step_id, execution_id, step_number, phase, attempt, step_status, outcome, completed_at)
    SELECT gen_random_uuid(), :execution, n, 'build', n, 'completed', jsonb_build_object('tasks', 'ü'), now()
    FROM generate_series(1, 250) AS n;
INSERT INTO workflow_signals (signal_id, execution_id, signal_name, payload, sent_by)
    VALUES (:f, :execution, 'go', jsonb_build_object('far', 7), 'Ann');
INSERT INTO workflow_steps (step_id, execution_id, step_number, phase, attempt) VALUES (:e, :other, 1, 'build', 1);
"""


@pytest.fixture
async def told(database: Database, client_for: MakeClient) -> UUID:
    """An execution with something in each section, beside another one that has some too."""
    await a_template(database)
    pm, agent = await client_for(Role.PM), await client_for(Role.AGENT, "james-dev")
    decision_id, execution_id = await _decided_and_started(pm)
    task = await pm.do("taskCreate", "task { taskId }", title="Build it", executionId=execution_id)
    await _worked(agent, task["task"]["taskId"])
    gate = await a_gate(database, UUID(execution_id))
    await _approved(pm, str(gate.gate_id))
    other = await pm.do("workflowStart", "workflow { executionId }", workflowName="plain")
    other_id = UUID(other["workflow"]["executionId"])
    await a_gate(database, other_id)
    await pm.do("taskCreate", title="Something else", executionId=str(other_id))
    await pm.do(
        "decisionRecord", decisionType="ESCALATION", contextData={}, reasoningProcess="because",
        outcome="of the other", confidenceScore=1, executionId=str(other_id),
    )  # fmt: skip
    ids = {"gate": gate.gate_id, "decision": UUID(decision_id), "execution": UUID(execution_id), "other": other_id}
    values = ids | {name: new_id() for name in "abcdef"}

    async def add(session: AsyncConnection) -> None:
        for statement in filter(str.strip, MORE.split(";\n")):
            await session.execute(text(statement), values)
        for each in (UUID(execution_id), other_id):
            await note_error(session, each, "hub", ErrorSeverity.ERROR, "It broke.", {"phase": "build"})

    await database.transact(add)
    return UUID(execution_id)


async def download(client: Client, execution_id: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {client.secret}"}
    return await client.http.get(f"/executions/{execution_id}/history.json", headers=headers)


async def document(client: Client, execution_id: object) -> Any:
    response = await download(client, execution_id)
    assert response.status_code == 200, response.text
    return json.loads(response.content)


async def rows(database: Database, source: str, execution_id: UUID) -> list[dict[str, Any]]:
    """The rows as PostgreSQL itself writes them, numbers exact."""
    statement = text(f"SELECT CAST(to_jsonb(t) AS text) FROM {source}")  # noqa: S608
    named = {"id": execution_id} if ":id" in source else {}
    found = await database.transact(lambda session: session.execute(statement, named))
    return [json.loads(row[0], parse_float=Decimal) for row in found]


def same(exported: Any, stored: Any) -> bool:
    """Whether they are one value; decimals are texts in the export, and transaction ids too."""
    if isinstance(exported, str) and isinstance(stored, (Decimal, int)) and not isinstance(stored, bool):
        return Decimal(exported) == stored
    if isinstance(exported, dict) and isinstance(stored, Mapping):
        return exported.keys() == stored.keys() and all(same(exported[key], stored[key]) for key in exported)
    return bool(exported == stored)


async def test_an_export_has_every_row_as_the_database_has_it(
    database: Database, client_for: MakeClient, told: UUID
) -> None:
    exported = await document(await client_for(Role.PM), told)
    for name, source in ROWS.items():
        stored = await rows(database, source, told)
        assert len(exported[name]) == len(stored) > 0, name
        for record, row in zip(exported[name], stored, strict=True):
            shown = {key: value for key, value in row.items() if key not in OWN | SEALED}
            added = {"context_data", "reasoning_process", "sealed"} if name == "decisions" else set()
            assert record.keys() == shown.keys() | added, name
            assert [key for key in shown if not same(record[key], shown[key])] == [], name
    assert exported["counts"] == {name: len(exported[name]) for name in ROWS}
    assert exported["counts"]["steps"] == 250
    (execution,) = await rows(database, "workflow_executions t WHERE execution_id = :id", told)
    assert exported["execution"] == {key: value for key, value in execution.items() if key not in OWN}
    (template,) = await rows(database, "workflow_templates t", told)
    assert exported["template"] == template
    assert list(exported)[:6] == [
        "format", "format_version", "execution_id", "read_at", "sealed", "events_kept_since"
    ]  # fmt: skip
    assert (exported["format"], exported["format_version"]) == ("orchestration-hub/workflow-history", 1)
    assert exported["execution_id"] == str(told)


async def test_what_is_sealed_is_opened_for_those_who_may_read_it_and_null_for_others(
    client_for: MakeClient, told: UUID
) -> None:
    pm, viewer = await client_for(Role.PM), await client_for(Role.VIEWER)
    opened = await document(pm, told)
    assert opened["sealed"] == "open"
    first = opened["decisions"][0]
    assert first["context_data"] == {"request": "login"}
    assert (first["reasoning_process"], first["sealed"]) == ("a login page was asked for", "open")
    withheld = await document(viewer, told)
    assert withheld["sealed"] == "forbidden"
    assert [each["sealed"] for each in withheld["decisions"]] == ["forbidden", "forbidden"]
    assert "a login page was asked for" not in json.dumps(withheld)
    # the rest is the same for all
    assert withheld["events"] == opened["events"]
    await (await client_for()).do(
        "decisionErase", decisionId=first["decision_id"], reason="asked to", expectedVersion=1
    )
    erased = (await document(pm, told))["decisions"][0]
    assert (erased["context_data"], erased["reasoning_process"], erased["sealed"]) == (None, None, "erased")


async def test_it_is_refused_as_everything_else_is(client_for: MakeClient, told: UUID) -> None:
    client = await client_for(Role.VIEWER)
    stranger = Client(client.http, "nothing")
    refusals = [await download(stranger, told), await download(client, NOBODY), await download(client, "7")]
    assert [each.status_code for each in refusals] == [401, 404, 400]
    codes = [each.json()["errors"][0]["extensions"]["code"] for each in refusals]
    assert codes == ["UNAUTHENTICATED", "NOT_FOUND", "INVALID_INPUT"]
    without = await client.http.get(f"/executions/{told}/history.json")
    assert (without.status_code, without.headers["www-authenticate"]) == (401, 'Bearer realm="hub"')
    assert (await client.http.post(f"/executions/{told}/history.json")).status_code == 405


async def test_a_process_sends_two_at_once_and_the_third_may_come_again(client_for: MakeClient, told: UUID) -> None:
    client = await client_for(Role.VIEWER)
    route = next(route for route in client.http._transport.app.routes if "history" in getattr(route, "path", ""))  # type: ignore[attr-defined]
    free = route.endpoint._free
    for _ in range(EXPORTS_MAX):
        await free.acquire()
    busy = await download(client, told)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    free.release()
    assert (await download(client, told)).status_code == 200


async def test_what_cannot_be_read_to_its_end_is_never_ended() -> None:
    closed: list[bool] = []

    async def breaking(_principal: Principal, _id: UUID) -> AsyncGenerator[bytes, None]:
        try:
            yield b'{"format":'
            raise Unavailable("The database is away.")
        finally:
            closed.append(True)

    async def anybody(_secret: str) -> Principal:
        return ADMIN

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a download has no body")

    scope = {"type": "http", "headers": [(b"authorization", b"Bearer x")], "path_params": {"execution_id": NOBODY}}
    await HistoryDownload(anybody, breaking)(scope, receive, send)
    assert [message.get("body") for message in sent] == [None, b'{"format":']
    assert sent[-1]["more_body"]
    assert closed == [True]


async def test_a_long_history_comes_in_small_pieces(database: Database) -> None:
    execution_id = await seed_steps(database, 10_000)
    pieces = [piece async for piece in export_history(database, SEALER, ADMIN, execution_id)]
    told = json.loads(b"".join(pieces))
    assert [step["step_number"] for step in told["steps"]] == list(range(1, 10_001))
    # a hundred records each
    assert len(pieces) > 100
    assert max(map(len, pieces)) < 60_000
