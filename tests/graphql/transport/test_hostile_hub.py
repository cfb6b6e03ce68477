"""The hub's own schema under hostile requests: whatever comes, it is answered, never by a 500."""

from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.typing import EventDict

from graphql_schema.http_transport import GRAPHQL_RESPONSE
from tests.graphql.transport.test_http import HOSTILE_BODIES, HOSTILE_DOCUMENTS
from tests.live.serving import ServedHub, serve_hub

pytestmark = pytest.mark.usefixtures("no_exception_reaches_the_server")

DOCUMENTS = [
    *HOSTILE_DOCUMENTS,
    "{ tasks(first: 101) { nodes { taskId } } }",
    "{ tasks(first: -1) { nodes { taskId } } }",
    '{ tasks(after: "x") { nodes { taskId } } }',
    '{ tasks(after: "\\u0000") { nodes { taskId } } }',
    '{ task(taskId: "x") { taskId } }',
    '{ task(taskId: "\\u0000") { taskId } }',
    '{ agent(agentId: "\\u0000") { agentId } }',
    '{ agent(agentId: "\\u{10FFFF}") { agentId } }',
    '{ node(id: "") { id } }',
    '{ node(id: "////") { id } }',
    "{ tasks { nodes" * 5_000 + "}" * 10_000,
    "{ " + " ".join(f"a{number}: viewer {{ name }}" for number in range(2_000)) + " }",
    "{ viewer " + "@skip(if: false) " * 2_000 + "{ name } }",
    "query (" + " ".join(f"$v{number}: Int" for number in range(2_000)) + ") { viewer { name } }",
    "".join(f"query Q{number} {{ viewer {{ name }} }}" for number in range(1_000)),
    "{ ...F0 } " + "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60)),
    "{ " * 1_000,
    'mutation { taskFail(input: {taskId: "x", expectedVersion: 99999999999, reason: "r"}) { userErrors { code } } }',
    'mutation { taskFail(input: {taskId: "x", expectedVersion: 1, reason: "\\u0000"}) { userErrors { code } } }',
    "subscription { taskChanged { cursor } agentStateChanged { cursor } }",
]


@pytest.fixture
async def hub(database_url: str) -> AsyncIterator[ServedHub]:
    async with serve_hub(database_url) as hub:
        yield hub


async def test_no_request_ends_in_a_500(hub: ServedHub, logged: list[EventDict]) -> None:
    headers = {"authorization": f"Bearer {hub.secret}", "accept": GRAPHQL_RESPONSE}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        for body in HOSTILE_BODIES:
            answer = await client.post(hub.http, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, body[:60]
        for document in DOCUMENTS:
            answer = await client.post(hub.http, json={"query": document})
            assert answer.status_code in (200, 400), (document[:80], answer.text[:300])
            codes = [error.get("extensions", {}).get("code") for error in answer.json().get("errors", [])]
            assert "INTERNAL" not in codes, document[:80]
            assert None not in codes, (document[:80], answer.text[:300])
            assert len(answer.content) < 100_000, document[:80]
        answer = await client.post(hub.http, json={"query": "{ viewer { name } }"})
        assert answer.json() == {"data": {"viewer": {"name": "tester"}}}
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
