"""Secrets in what clients send reach neither rows nor events, and the payload tells which fields were redacted."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import GraphQLInputObjectType, GraphQLNamedType, get_named_type
from sqlalchemy import func, select

from app.domain.errors import InvalidInput
from app.domain.principals import Role
from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ErrorSeverity
from app.engine.phases.base import ACTOR
from app.security.tokens import new_secret
from app.services.template_sources import load_template
from app.services.workflow_errors import fail_step, note_error
from db.session import Database
from db.tables.access import api_tokens
from db.tables.agents import agent_reports
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers
from db.tables.registry import metadata
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors
from graphql_schema.redacting import FreeText, Nested, parts_of, redact
from graphql_schema.schema import build_schema
from graphql_schema.workflows.inputs import WorkflowStartInput
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_gate, a_running_task, an_agent, an_execution, row_of

SECRET = "gh" + "p_" + "aB3dE5fG7hJ9" * 3
PASSWORD = "hunter" + "2-correct"
REMOVED = "[secret removed: GitHub token]"
NOT_SCRUBBED = {"idempotencyKey"}


def input_types() -> Iterator[tuple[str, GraphQLInputObjectType, type]]:
    """Every input that a mutation takes, nested ones too, with the class behind it."""
    schema = build_schema()._schema
    assert schema.mutation_type is not None
    todo: list[GraphQLNamedType] = [
        get_named_type(argument.type)
        for mutation in schema.mutation_type.fields.values()
        for argument in mutation.args.values()
    ]
    seen: set[str] = set()
    while todo:
        kind = todo.pop()
        if isinstance(kind, GraphQLInputObjectType) and kind.name not in seen:
            seen.add(kind.name)
            todo += [get_named_type(field.type) for field in kind.fields.values()]
            yield kind.name, kind, kind.extensions["strawberry-definition"].origin


INPUTS = list(input_types())


@pytest.mark.parametrize(("name", "graphql_type", "python_type"), INPUTS, ids=[name for name, _, _ in INPUTS])
def test_every_string_and_json_of_every_input_is_examined(
    name: str, graphql_type: GraphQLInputObjectType, python_type: type
) -> None:
    named = {field: get_named_type(kind.type) for field, kind in graphql_type.fields.items()}
    parts = parts_of(python_type)
    texts = {part.name for part in parts if isinstance(part, FreeText)}
    nested = {part.name for part in parts if isinstance(part, Nested)}
    assert texts == {f for f, kind in named.items() if kind.name in {"String", "JSON"}} - NOT_SCRUBBED
    assert nested == {f for f, kind in named.items() if isinstance(kind, GraphQLInputObjectType)}


def test_every_mutation_takes_an_input_object_only() -> None:
    mutation = build_schema()._schema.mutation_type
    assert mutation is not None
    assert len(INPUTS) > 20
    for field in mutation.fields.values():
        assert [isinstance(get_named_type(a.type), GraphQLInputObjectType) for a in field.args.values()] == [True]


def test_an_input_without_secrets_keeps_its_very_objects() -> None:
    context: Any = {"a": ["plain"]}
    given = WorkflowStartInput(workflow_name="plain", input_context=context)
    assert redact(given) == []
    assert given.input_context is context


def test_a_template_with_a_secret_is_refused_and_the_refusal_does_not_show_it() -> None:
    text = f"name: x\nphases:\n  - input: {{api_key: {SECRET}}}\n"
    with pytest.raises(InvalidInput, match=r"phases\.0\.input\.api_key: holds what looks like a secret") as caught:
        load_template(text, "x.yaml")
    assert SECRET not in str(caught.value)


async def everything_stored(database: Database) -> bytes:
    """All rows of all tables, as JSON."""
    rows: list[Any] = []
    for table in metadata.sorted_tables:
        statement = select(func.to_jsonb(table.table_valued()))
        rows += (await database.transact(lambda session, s=statement: session.execute(s))).scalars()  # type: ignore[misc]
    return orjson.dumps(rows)


async def event_details(database: Database) -> list[dict[str, Any]]:
    found = await database.transact(lambda session: session.execute(select(event_log.c.detail)))
    return list(found.scalars())


async def test_a_decision(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    payload = await pm.do(
        "decisionRecord",
        "redactedFields decision { decisionId contextData reasoningProcess outcome learningNotes }",
        decisionType="ESCALATION",
        contextData={"deploy": {"password": PASSWORD, "host": "db"}, "list": ["x", f"with {SECRET}"]},
        reasoningProcess=f"The log shows {SECRET}, so",
        outcome="postgres://hub:" + PASSWORD + "@db/hub leaks",
        confidenceScore=7,
        learningNotes="nothing secret",
    )
    assert payload["redactedFields"] == [
        "input.contextData.deploy.password",
        "input.contextData.list.1",
        "input.reasoningProcess",
        "input.outcome",
    ]
    decision = payload["decision"]
    read = await pm.ask(
        "query ($id: ID!) { decision(decisionId: $id) {"
        " decisionId contextData reasoningProcess outcome learningNotes } }",
        id=decision["decisionId"],
    )
    assert read["decision"] == decision | {
        "contextData": {
            "deploy": {"password": "[secret removed: password]", "host": "db"},
            "list": ["x", f"with {REMOVED}"],
        },
        "reasoningProcess": f"The log shows {REMOVED}, so",
        "outcome": "postgres://hub:[secret removed: URL password]@db/hub leaks",
        "learningNotes": "nothing secret",
    }
    row = await row_of(database, decisions, decision_id=UUID(decision["decisionId"]))
    assert row.outcome == decision["outcome"]
    stored = await everything_stored(database)
    assert SECRET.encode() not in stored
    assert PASSWORD.encode() not in stored


async def test_a_tasks_way(database: Database, client_for: MakeClient) -> None:
    agent = await client_for(Role.AGENT, "james-dev")
    await an_agent(database)
    task = await a_running_task(database)
    task_id = str(task.task_id)
    progress = await agent.do(
        "taskReportProgress", "redactedFields task { progress { message } }", taskId=task_id,
        message=f"export API_TOKEN={SECRET} && make",
    )  # fmt: skip
    assert progress["redactedFields"] == ["input.message"]
    assert progress["task"]["progress"]["message"] == f"export API_TOKEN={REMOVED} && make"
    failed = await agent.do(
        "taskFail", "redactedFields task { failures result }", taskId=task_id, expectedVersion=task.version,
        reason=f"401 for {SECRET}", result={"env": {"DB_PASSWORD": PASSWORD}, "tokens_used": 12},
    )  # fmt: skip
    assert failed["redactedFields"] == ["input.reason", "input.result.env.DB_PASSWORD"]
    row = await row_of(database, tasks, task_id=task.task_id)
    assert row.result == {
        "error": f"401 for {REMOVED}",
        "output": {"env": {"DB_PASSWORD": "[secret removed: password]"}, "tokens_used": 12},
    }
    told = [detail.get("message") or detail.get("reason") for detail in await event_details(database)]
    assert f"export API_TOKEN={REMOVED} && make" in told
    assert f"401 for {REMOVED}" in told
    stored = await everything_stored(database)
    assert SECRET.encode() not in stored
    assert PASSWORD.encode() not in stored


async def test_a_report_and_a_tokens_name(database: Database, client_for: MakeClient) -> None:
    admin = await client_for()
    await an_agent(database)
    report = await admin.do(
        "agentReport", "redactedFields", agentId="james-dev", observedAt="2026-11-22T10:00:00Z",
        resourceUtilization={"cpu_percent": 1.5}, performanceMetrics={"last_command": f"curl -H 'X: {SECRET}'"},
    )  # fmt: skip
    assert report["redactedFields"] == ["input.performanceMetrics.last_command"]
    row = await row_of(database, agent_reports, agent_id="james-dev")
    assert row.performance_metrics["last_command"] == f"curl -H 'X: {REMOVED}'"
    made = await admin.do("apiTokenCreate", "redactedFields secret", tokenName=f"bot {SECRET}", role="VIEWER")
    assert made["redactedFields"] == ["input.tokenName"]
    assert made["secret"].startswith("hub_")
    names = await database.transact(lambda session: session.execute(select(api_tokens.c.token_name)))
    assert f"bot {REMOVED}" in list(names.scalars())
    assert SECRET.encode() not in await everything_stored(database)


async def test_a_reviews_feedback_and_a_verdict(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    opened = await pm.do(
        "qualityGateOpen", "qualityGate { version }", gateId=str(gate.gate_id), expectedVersion=1, reviewers=["pm"]
    )
    reviewed = await pm.do(
        "qualityGateReview", "redactedFields", gateId=str(gate.gate_id), verdict="APPROVE", feedback=f"remove {SECRET}"
    )
    assert reviewed["redactedFields"] == ["input.feedback"]
    row = await row_of(database, gate_reviewers, gate_id=gate.gate_id)
    assert row.feedback == f"remove {REMOVED}"
    decided = await pm.do(
        "qualityGateReject", "redactedFields qualityGate { approvalStatus pmDecision improvementSuggestions }",
        gateId=str(gate.gate_id), expectedVersion=opened["qualityGate"]["version"], confidenceScore=5,
        pmDecision=f"it has {SECRET}", improvementSuggestions="password=" + PASSWORD,
    )  # fmt: skip
    assert decided["redactedFields"] == ["input.pmDecision", "input.improvementSuggestions"]
    assert decided["qualityGate"] == {
        "approvalStatus": ApprovalStatus.REJECTED.name,
        "pmDecision": f"it has {REMOVED}",
        "improvementSuggestions": "password=[secret removed: password]",
    }
    assert SECRET.encode() not in await everything_stored(database)


async def test_a_refusal_and_a_dry_run_tell_it_too_and_repeat_no_secret(database: Database, admin: Client) -> None:
    query = """mutation ($input: WorkflowStartInput!) { workflowStart(input: $input) {
        redactedFields userErrors { message } dryRun { changes { detail } } } }"""
    refused = await admin.post({"query": query, "variables": {"input": {"workflowName": SECRET}}})
    assert SECRET not in refused.text
    assert refused.json()["data"]["workflowStart"]["redactedFields"] == ["input.workflowName"]
    dry = await admin.do("taskCreate", "redactedFields dryRun { wouldSucceed }", title=f"use {SECRET}", dryRun=True)
    assert (dry["redactedFields"], dry["dryRun"]) == (["input.title"], {"wouldSucceed": True})


async def test_a_repetition_is_the_same_request_though_its_secret_was_removed(admin: Client) -> None:
    fields = {"title": f"use {SECRET}", "idempotencyKey": "k" * 20}
    first, second = [await admin.do("taskCreate", "redactedFields task { taskId title }", **fields) for _ in range(2)]
    assert first == second
    assert first["task"]["title"] == f"use {REMOVED}"
    assert first["redactedFields"] == ["input.title"]


async def test_secrets_in_lists_of_nested_inputs_tell_their_place(admin: Client) -> None:
    payload = await admin.do(
        "tasksCreate", "redactedFields", tasks=[{"title": "one"}, {"title": "two", "description": f"with {SECRET}"}]
    )
    assert payload["redactedFields"] == ["input.tasks.1.description"]


async def test_much_text_is_examined_as_well(database: Database, admin: Client) -> None:
    payload = await admin.do("taskCreate", "redactedFields", title="x", description="word " * 15_000 + SECRET)
    assert payload["redactedFields"] == ["input.description"]
    assert SECRET.encode() not in await everything_stored(database)


async def test_a_hub_token_that_is_sent_as_text_never_becomes_a_row(database: Database, admin: Client) -> None:
    token = new_secret()
    await admin.do("taskCreate", title="x", input={"note": f"call with {token}"})
    assert token.encode() not in await everything_stored(database)


async def test_what_the_engine_notes_of_an_error_is_scrubbed(database: Database) -> None:
    execution = await an_execution(database)
    message = f"could not connect to postgresql://hub:{PASSWORD}@db/hub"

    async def note(session: Any) -> None:
        where = {"phase": "x", "step_number": 1}
        detail = where | {"headers": f"Bearer {SECRET}"}
        await note_error(session, execution.execution_id, ACTOR, ErrorSeverity.ERROR, message, detail)
        await fail_step(session, execution.execution_id, ACTOR, where, message)

    await database.transact(note)
    row = await row_of(database, workflow_errors, execution_id=execution.execution_id)
    assert row.message == "could not connect to postgresql://hub:[secret removed: URL password]@db/hub"
    assert row.detail["headers"] == f"Bearer {REMOVED}"
    stored = await everything_stored(database)
    assert SECRET.encode() not in stored
    assert PASSWORD.encode() not in stored
