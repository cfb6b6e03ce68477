"""What is refused: by type, by right, alone, and before a statement sees it."""

import base64

import pytest

from app.domain.errors import Unavailable
from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Context, Reader, Statements

WRONG_UUIDS = ["", "x", "1", "0" * 31, "g" * 32, "\x00", "\ud800", "9" * 10_000]
BY_UUID = {
    "task": "taskId",
    "decision": "decisionId",
    "workflow": "executionId",
    "qualityGate": "gateId",
    "modelAssignment": "assignmentId",
    "resourceMetric": "metricId",
}


@pytest.mark.parametrize("field", BY_UUID)
async def test_a_malformed_uuid_is_a_typed_error(admin: Reader, field: str) -> None:
    argument = BY_UUID[field]
    for wrong in WRONG_UUIDS:
        answer = await admin.ask(f"query ($id: ID!) {{ {field}({argument}: $id) {{ id }} }}", id=wrong)
        assert answer.data == {field: None}
        assert answer.codes == ["INVALID_INPUT"]
        assert answer.errors[0]["message"] == f"{argument} must be a UUID."
        assert answer.errors[0]["path"] == [field]
        assert answer.statements[0][1] == []


async def test_a_text_that_postgresql_cannot_take_is_a_typed_error(admin: Reader) -> None:
    for wrong in ("a\x00b", "\ud800", "x" * 2_001):
        answer = await admin.ask("query ($id: ID!) { agent(agentId: $id) { agentId } }", id=wrong)
        assert answer.codes == ["INVALID_INPUT"]
    for unknown in ("nobody", "", "Robert'); DROP TABLE agents;--", "\U0001f389"):
        assert await admin.data("query ($id: ID!) { agent(agentId: $id) { agentId } }", id=unknown) == {"agent": None}


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


WRONG_NODES = {
    "empty": "",
    "no base64": "!",
    "no type": encoded(b":x"),
    "no key": encoded(b"Task:"),
    "no separator": encoded(b"Task"),
    "unknown type": encoded(b"Nothing:1"),
    "a type without ids": encoded(b"TaskProgress:x"),
    "no UUID": encoded(b"Task:x"),
    "half a key": encoded(b"WorkflowTemplate:plain"),
    "no number": encoded(b"WorkflowTemplate:plain:x"),
    "beyond 32 bits": encoded(b"WorkflowTemplate:plain:99999999999"),
    "NUL": encoded(b"AgentState:a\x00b"),
    "no UTF-8": encoded(b"AgentState:\xff"),
}


@pytest.mark.parametrize("name", WRONG_NODES)
async def test_an_id_that_the_hub_cannot_have_made_is_refused(admin: Reader, name: str) -> None:
    answer = await admin.ask("query ($id: ID!) { node(id: $id) { id } }", id=WRONG_NODES[name])
    assert answer.data == {"node": None}
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.statements[0][1] == []


async def test_what_is_wrong_in_one_root_field_leaves_the_others_alone(admin: Reader) -> None:
    answer = await admin.ask(
        '{ bad: task(taskId: "x") { title } worse: agents(first: 0) { totalCount } viewer { name } }'
    )
    assert answer.data == {"bad": None, "worse": None, "viewer": {"name": "some admin"}}
    assert [error["path"] for error in answer.errors] == [["bad"], ["worse"]]
    assert [error["extensions"]["field"] for error in answer.errors] == ["bad.taskId", "worse.first"]
    assert len(answer.statements) == 1


async def test_tokens_are_for_administrators(admin: Reader, viewer: Reader) -> None:
    query = "{ apiTokens { nodes { id tokenName } } viewer { role } }"
    seen = await admin.data(query)
    assert [node["tokenName"] for node in seen["apiTokens"]["nodes"]] == ["old", "james", "root"]
    refused = await viewer.ask(query)
    assert refused.data == {"apiTokens": None, "viewer": {"role": "VIEWER"}}
    assert refused.codes == ["FORBIDDEN"]
    token = seen["apiTokens"]["nodes"][0]["id"]
    for asked in ("query ($id: ID!) { node(id: $id) { id } }", "query ($id: ID!) { node(id: $id) { __typename } }"):
        assert (await viewer.ask(asked, id=token)).codes == ["FORBIDDEN"]
        assert (await admin.ask(asked, id=token)).errors == []


async def test_a_database_that_is_away_is_told_as_such(admin: Reader, schema: HubSchema) -> None:
    class Away(Statements):
        async def fetch_value(self, sql: str, arguments: object = ()) -> object:
            raise Unavailable("The database does not answer.")

    context = Context(admin.principal, Away(admin.database))
    result = await schema.execute("{ viewer { name } }", context_value=context)
    assert result.data is None
    assert [(error.message, error.extensions) for error in result.errors or []] == [
        ("The database does not answer.", {"code": "UNAVAILABLE"})
    ]


async def test_a_defect_keeps_its_cause_for_the_transport_to_mask(admin: Reader, schema: HubSchema) -> None:
    class Broken(Statements):
        async def fetch_value(self, sql: str, arguments: object = ()) -> object:
            raise RuntimeError("a secret of the database")

    context = Context(admin.principal, Broken(admin.database))
    result = await schema.execute("{ viewer { name } }", context_value=context)
    assert [type(error.original_error) for error in result.errors or []] == [RuntimeError]


async def test_values_are_bound_and_never_part_of_the_statement(admin: Reader) -> None:
    answer = await admin.ask('{ agent(agentId: "it\'s-me") { agentId } }')
    assert [arguments for _, arguments in answer.statements] == [["it's-me"]]
    assert "it's-me" not in answer.statements[0][0]
    assert (await admin.ask("query ($id: ID!) { task(taskId: $id) { id } }", id=str(world.task(1)))).statements[0][
        1
    ] == [world.task(1)]


async def test_too_many_relations_are_refused_before_they_are_planned(admin: Reader) -> None:
    def asked(times: int) -> str:
        part = "a{}: tasks(first: 1) {{ nodes {{ execution {{ agents {{ totalCount }} }} }} }}"
        return "{ " + " ".join(part.format(number) for number in range(times)) + " }"

    assert (await admin.ask(asked(99))).errors == []
    answer = await admin.ask(
        "{ " + asked(99)[1:-1] + " agents { nodes { tasks { totalCount nodes { title } pageInfo { hasNextPage } } "
        "metrics { nodes { cpuUsage } totalCount } } } }"
    )
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["path"] == ["agents"]
    assert answer.data["agents"] is None
    assert len(answer.data["a0"]["nodes"]) == 1
