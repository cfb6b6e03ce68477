"""What waits for a person or the PM: what is in the queue, what leaves it, in which order, at what price."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text, update

from app.domain.agents import AgentRole, AgentStatus
from app.domain.events import Aggregate
from app.domain.ids import new_id
from app.domain.workflows import ExecutionStatus
from app.services.agents import SetAgentStatus, set_agent_status
from app.services.quality_gates import OpenGate, open_gate
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.session import Database
from db.tables.agents import agent_reports
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from graphql_schema.planner.reading import aggregates_of
from tests.api.conftest import Client
from tests.services.makers import ADMIN, a_gate, a_request, a_running_task, an_agent, an_execution, run

QUEUE = """query ($filter: AttentionItemFilter) { attentionQueue(filter: $filter) { totalCount nodes {
  itemId kind waitsFor title reason ageSeconds blockedAgents blockedSpend score nextSteps
  execution { executionId } gate { gateId } task { taskId } agent { agentId } } } }"""


async def queue(client: Client, **variables: Any) -> list[dict[str, Any]]:
    found = await replace(client, cached=False).ask(QUEUE, **variables)
    assert found["attentionQueue"]["totalCount"] == len(found["attentionQueue"]["nodes"])
    nodes: list[dict[str, Any]] = found["attentionQueue"]["nodes"]
    return nodes


async def kinds(client: Client) -> list[tuple[str, str]]:
    return [(each["kind"], each["waitsFor"]) for each in await queue(client)]


async def a_running_execution(database: Database, name: str = "plain") -> Any:
    execution = await an_execution(database, name)
    running = ExecutionStatus.RUNNING
    return await database.transact(
        lambda session: transition(session, EXECUTION, execution.execution_id, running, "running", "test")
    )


async def test_nothing_waits_where_all_goes_well(database: Database, admin: Client) -> None:
    await an_agent(database)
    execution = await a_running_execution(database)
    await a_running_task(database, execution_id=execution.execution_id)
    assert await queue(admin) == []


async def test_a_gate_waits_for_whoever_gives_its_verdict(database: Database, admin: Client) -> None:
    execution = await a_running_execution(database)
    gate = await a_gate(database, execution.execution_id)
    (item,) = await queue(admin)
    assert (item["kind"], item["waitsFor"], item["title"]) == ("VERDICT", "HUMAN", "Review")
    assert item["reason"] == "It has to be opened for review."
    assert item["itemId"] == f"verdict:{gate.gate_id}"
    assert (item["gate"], item["execution"]) == (
        {"gateId": str(gate.gate_id)},
        {"executionId": str(execution.execution_id)},
    )
    await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    assert [item["reason"] for item in await queue(admin)] == ["A person is to give the verdict."]
    # reviewers are at work: nobody else has to act
    await a_request(database, "review", execution.execution_id, gate.gate_id)
    assert await queue(admin) == []
    person = {"review_id": new_id(), "gate_id": gate.gate_id, "reviewer": "ann", "revision": 0}
    await database.transact(lambda session: session.execute(gate_reviewers.insert().values(person)))
    assert [item["reason"] for item in await queue(admin)] == ["These have not given their review: ann."]


async def test_the_pm_is_waited_for_by_gates_and_questions(database: Database, admin: Client) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await a_running_execution(database)
    gate = await a_gate(database, execution.execution_id)
    await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    await a_request(database, "decision", execution.execution_id, gate.gate_id)
    question = await a_request(database, "decision", execution.execution_id)
    found = {item["kind"]: item for item in await queue(admin)}
    # the task that asks for the verdict is not told twice
    assert {kind: (item["waitsFor"], item["reason"]) for kind, item in found.items()} == {
        "VERDICT": ("PM", "The PM is asked for the verdict."),
        "QUESTION": ("PM", "Nobody has taken it."),
    }
    assert found["QUESTION"]["task"] == {"taskId": str(question.task_id)}
    assert found["QUESTION"]["nextSteps"][0] == "decisionRecord"


async def test_an_escalated_gate_waits_for_a_human(database: Database, admin: Client) -> None:
    execution = await a_running_execution(database)
    given = {"escalation_required": True, "escalation_reason": "It costs too much.", "escalated_at": datetime.now(UTC)}
    await a_gate(database, execution.execution_id, **given)
    (item,) = await queue(admin)
    assert (item["kind"], item["waitsFor"]) == ("ESCALATION", "HUMAN")
    assert item["reason"] == "A human must look at it: It costs too much."


async def test_gates_of_what_has_ended_wait_for_nobody(database: Database, admin: Client) -> None:
    execution = await an_execution(database)
    await a_gate(database, execution.execution_id)
    await admin.do("workflowCancel", executionId=str(execution.execution_id), expectedVersion=1, reason="no more")
    assert await queue(admin) == []


async def test_what_failed_or_was_paused_waits_for_the_operator(database: Database, admin: Client) -> None:
    failed = await a_running_execution(database)
    await admin.do(
        "workflowFail", executionId=str(failed.execution_id), expectedVersion=failed.version, reason="It broke."
    )
    paused = await a_running_execution(database, "other")
    await admin.do("workflowPause", executionId=str(paused.execution_id), expectedVersion=paused.version)
    await an_agent(database)
    lonely = await a_running_task(database, title="Alone")
    statement = update(tasks).where(tasks.c.task_id == lonely.task_id).values(status="failed", failures=3)
    await database.transact(lambda session: session.execute(statement))
    found = {item["kind"]: item for item in await queue(admin)}
    assert {kind: (item["title"], item["waitsFor"]) for kind, item in found.items()} == {
        "EXECUTION_FAILED": ("plain", "OPERATOR"),
        "EXECUTION_PAUSED": ("other", "OPERATOR"),
        "TASK_FAILED": ("Alone", "OPERATOR"),
    }
    assert found["EXECUTION_FAILED"]["reason"] == "It failed: admin ended the workflow as failed: It broke."
    assert found["TASK_FAILED"]["reason"] == "It failed 3 of 3 times; no workflow will try it again."
    assert found["EXECUTION_PAUSED"]["nextSteps"] == ["workflowResume", "workflowCancel"]


async def test_agents_in_trouble_wait_for_the_operator(database: Database, admin: Client) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    await a_running_task(database)
    silent = update(agent_reports).where(agent_reports.c.agent_id == "james-dev")
    statement = silent.values(last_activity=datetime.now(UTC) - timedelta(seconds=45))
    await database.transact(lambda session: session.execute(statement))
    await run(database, set_agent_status, ADMIN, SetAgentStatus("jane-dev", AgentStatus.ERROR, 1))
    found = {item["kind"]: item for item in await queue(admin)}
    assert {kind: item["agent"]["agentId"] for kind, item in found.items()} == {
        "AGENT_SILENT": "james-dev",
        "AGENT_ERROR": "jane-dev",
    }
    assert found["AGENT_SILENT"]["reason"] == "It is not heard of, and has 1 of the tasks at hand."
    assert 45 <= found["AGENT_SILENT"]["ageSeconds"] < 75


async def test_what_holds_up_most_comes_first(database: Database, admin: Client) -> None:
    """Agents count ten, dollars and hours one each."""
    await an_agent(database)
    alone, with_agent = await a_running_execution(database), await a_running_execution(database, "other")
    task = await a_running_task(database, execution_id=with_agent.execution_id)
    await admin.do(
        "modelAssignmentRecord", agentId="james-dev", taskId=str(task.task_id), providerName="ANTHROPIC_CLAUDE",
        modelName="m", assignmentReason="COMPLEXITY_HIGH",
    )  # fmt: skip
    spent = text("UPDATE model_assignments SET actual_cost = 1.25")
    await database.transact(lambda session: session.execute(spent))
    first, second = await a_gate(database, alone.execution_id), await a_gate(database, with_agent.execution_id)
    old = update(quality_gates).where(quality_gates.c.gate_id == first.gate_id)
    older = old.values(updated_at=datetime.now(UTC) - timedelta(hours=3))
    await database.transact(lambda session: session.execute(older))
    # the agent has a task at hand, so it is not held up
    titles = [(item["gate"]["gateId"], item["blockedAgents"]) for item in await queue(admin)]
    assert titles == [(str(first.gate_id), 0), (str(second.gate_id), 0)]
    await admin.do("taskComplete", taskId=str(task.task_id), expectedVersion=task.version, result={})
    most, least = await queue(admin)
    assert most["gate"]["gateId"] == str(second.gate_id)
    assert (most["blockedAgents"], Decimal(most["blockedSpend"])) == (1, Decimal("1.25"))
    assert Decimal("11.25") <= Decimal(most["score"]) < Decimal("11.35")
    assert Decimal("3.00") <= Decimal(least["score"]) < Decimal("3.10")


async def test_it_is_filtered_paged_and_counted_like_any_connection(database: Database, admin: Client) -> None:
    execution = await a_running_execution(database)
    gates = [await a_gate(database, execution.execution_id, gate_name=f"Gate {number}") for number in range(5)]
    pages = """query ($after: Cursor) { attentionQueue(first: 2, after: $after, filter: {waitsFor: {eq: HUMAN}}) {
      nodes { gateId } pageInfo { hasNextPage endCursor } groups(by: [{field: KIND}]) { count } } }"""
    seen, after = [], None
    for _ in range(3):
        page = (await admin.ask(pages, after=after))["attentionQueue"]
        seen += [node["gateId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"] is False
    assert sorted(seen) == sorted(str(gate.gate_id) for gate in gates)
    assert await queue(admin, filter={"kind": {"in": ["QUESTION"]}}) == []


def test_answers_are_kept_only_while_nothing_of_it_has_moved() -> None:
    moved_by = {Aggregate.AGENT, Aggregate.TASK, Aggregate.WORKFLOW, Aggregate.QUALITY_GATE, Aggregate.MODEL_ASSIGNMENT}
    assert aggregates_of("SELECT FROM attention_items AS attention_items_1") == moved_by
