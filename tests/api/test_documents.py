"""Documents by their hashes, over HTTP and WebSocket: trusted ones, and those that clients send once."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import gql
import pytest
from gql.transport.httpx import HTTPXAsyncTransport
from graphql.execution.values import VariableValues
from pydantic import ValidationError

from app.client.connection import HubClient
from app.client.errors import HubFault
from app.client.operations import access, agents, tasks
from app.client.registering import own_documents
from app.doctor.api import examine_api
from app.doctor.findings import Severity
from app.domain.documents import WrongDocument, sha256_of
from app.domain.principals import Principal, Role
from app.settings import Settings
from db.session import Database
from graphql_schema.documents import KeptTexts
from graphql_schema.planner.documents import DOCUMENTS_KEPT, LONGEST_KEPT
from graphql_schema.planner.extension import coerce
from graphql_schema.planner.plan import Plan
from graphql_schema.schema import HubSchema, build_schema
from graphql_schema.trusted import register
from tests.api.serving import ServedApp, codes, documents_file, serve_app
from tests.cli.commands import run_hub
from tests.cli.installations import installation, named

AGENTS = "query Agents($first: Int!) {\n  agents(first: $first) { nodes { agentId } }\n}"
VIEWER = "query Viewer { viewer { name role } }"
REGISTER = "mutation Register($input: AgentRegisterInput!) { agentRegister(input: $input) { agent { agentId } } }"
CHANGES = "subscription Changes { agentStateChanged { agent { agentId status } } }"
UNKNOWN = "query Unknown { viewer { name } }"
TRUSTED = (AGENTS, VIEWER, REGISTER, CHANGES)
GRAPHQL_RESPONSE = "application/graphql-response+json"

NOT_FOUND = {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}

Way = Callable[[str], dict[str, Any]]
Serve = Callable[..., AbstractAsyncContextManager[ServedApp]]


def apollos(text: str) -> dict[str, Any]:
    """How Apollo's clients name a document."""
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text)}}}


WAYS: dict[str, Way] = {
    "documentId": lambda text: {"documentId": f"sha256:{sha256_of(text)}"},
    "hash": lambda text: {"documentId": sha256_of(text)},
    "apollo": apollos,
    "text": lambda text: {"query": text},
    "both": lambda text: {"query": text, **apollos(text)},
}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url, pool_size=5, read_pool_size=3)


@pytest.fixture
def serve(database: Database, settings: Settings) -> Serve:
    """Serves the application with the test's settings, changed as told."""
    return lambda **changes: serve_app(database, settings.model_copy(update=changes))


@pytest.fixture
async def trusting(serve: Serve, tmp_path: Path) -> AsyncIterator[ServedApp]:
    """A hub that answers registered documents only."""
    async with serve(trusted_documents=documents_file(tmp_path, *TRUSTED), trusted_documents_only=True) as served:
        yield served


@pytest.fixture
async def open_to_all(serve: Serve) -> AsyncIterator[ServedApp]:
    """A hub without registered documents."""
    async with serve() as served:
        yield served


# -- trusted documents


async def test_each_way_to_name_a_document_runs_it_by_the_plan_made_at_start(trusting: ServedApp) -> None:
    planner = trusting.schema.planner
    expected: dict[str, Any] = {"data": {"agents": {"nodes": []}}}
    assert planner.plans_made == 2  # of the queries
    for name, way in WAYS.items():
        trusting.statements.clear()
        request = {**way(AGENTS), "variables": {"first": 20}, "operationName": "Agents"}
        async with trusting.socket() as socket:
            assert await socket.ask(**request) == expected, name
        assert await trusting.ask(**request) == expected, name
        assert len(trusting.statements) == 2, name
    assert (planner.plans_made, planner.fallbacks) == (2, 0)


async def test_mutations_and_subscriptions_are_run_by_their_hashes(trusting: ServedApp) -> None:
    trusting.role = Role.ADMIN
    async with trusting.socket() as socket:
        await socket.say(type="subscribe", id="changes", payload=WAYS["documentId"](CHANGES))
        hearing = asyncio.create_task(socket.hear())
        registered: list[str] = []
        while not hearing.done():  # until the subscription has begun
            registered.append(f"jane-{len(registered)}")
            given = {"agentId": registered[-1], "agentName": "Jane", "agentRole": "DEVELOPER"}
            answer = await trusting.ask(**WAYS["documentId"](REGISTER), variables={"input": given})
            assert answer == {"data": {"agentRegister": {"agent": {"agentId": registered[-1]}}}}
            await asyncio.wait({hearing}, timeout=0.2)
        change = (await hearing)["payload"]["data"]["agentStateChanged"]
    assert change["agent"]["agentId"] in registered


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"query": UNKNOWN}, "TRUSTED_DOCUMENTS_ONLY"),
    ({"query": VIEWER + " "}, "TRUSTED_DOCUMENTS_ONLY"),
    ({"query": "{ __schema { types { name } } }"}, "TRUSTED_DOCUMENTS_ONLY"),
    ({"query": "{ no document"}, "TRUSTED_DOCUMENTS_ONLY"),
    (WAYS["both"](UNKNOWN), "TRUSTED_DOCUMENTS_ONLY"),
    (WAYS["documentId"](UNKNOWN), "TRUSTED_DOCUMENTS_ONLY"),
    (WAYS["apollo"](UNKNOWN), "PERSISTED_QUERY_NOT_SUPPORTED"),
    ({**WAYS["documentId"](VIEWER), "query": UNKNOWN}, "INVALID_INPUT"),
]


async def test_what_is_not_registered_is_refused(trusting: ServedApp) -> None:
    async with trusting.socket() as socket:
        for request, code in REFUSED * 2:  # the second time shows that nothing of the first was kept
            answer = await trusting.post(**request)
            assert (answer.status_code, codes(answer.json())) == (200, [code]), request
            assert answer.json().keys() == {"errors"}
            assert (await trusting.post(accept=GRAPHQL_RESPONSE, **request)).status_code == 400
            assert codes({"errors": await socket.ask(**request)}) == [code]
        assert trusting.statements == []
        assert await socket.ask(**WAYS["hash"](VIEWER)) == {"data": {"viewer": {"name": "viewer", "role": "VIEWER"}}}


async def test_the_refusal_tells_what_to_do(trusting: ServedApp) -> None:
    (error,) = (await trusting.ask(query=UNKNOWN))["errors"]
    assert error["message"] == (
        f"This hub answers registered documents only, and sha256:{sha256_of(UNKNOWN)} is none of them. Nothing was "
        "done. Whoever runs the hub registers documents by `hub documents build` and HUB_TRUSTED_DOCUMENTS."
    )
    (error,) = (await trusting.ask(**apollos(UNKNOWN)))["errors"]
    assert error["message"] == "PersistedQueryNotSupported"


async def test_registered_documents_are_kept_whatever_else_is_asked(serve: Serve, tmp_path: Path) -> None:
    async with serve(trusted_documents=documents_file(tmp_path, VIEWER)) as served:
        documents = served.schema.documents
        registered = documents.get(VIEWER)
        for number in range(DOCUMENTS_KEPT + 1):
            served.schema.documents.prepare(f"query Flood{number} {{ viewer {{ name }} }}")
        assert documents.get("query Flood0 { viewer { name } }") is None
        assert registered is not None
        assert documents.get(VIEWER) is registered
        assert "data" in await served.ask(**WAYS["documentId"](VIEWER))
        assert served.schema.planner.plans_made == 1
        # others are answered too, and kept when they were sent with their hash
        assert "data" in await served.ask(query=UNKNOWN)
        assert codes(await served.ask(**apollos(UNKNOWN))) == ["PERSISTED_QUERY_NOT_FOUND"]


# -- the command line and the doctor against such a hub


def test_the_hubs_own_operations_are_registered_as_they_are_sent() -> None:
    own = set(own_documents())
    sent = {gql.GraphQLRequest(text).payload["query"] for text in (access.VIEWER, agents.AGENTS, tasks.CHANGES)}
    assert sent <= own
    assert len(own) >= 50


async def test_the_command_line_works_where_its_operations_are_registered(serve: Serve, tmp_path: Path) -> None:
    file = documents_file(tmp_path, *own_documents())
    async with serve(trusted_documents=file, trusted_documents_only=True) as served:
        async with HubClient(served.url, served.secret) as client:
            assert (await client.execute(access.VIEWER))["viewer"]["name"] == "viewer"
            with pytest.raises(HubFault, match="answers registered documents only") as caught:
                await client.execute("{ __schema { types { name } } }")
        assert caught.value.code == "TRUSTED_DOCUMENTS_ONLY"


async def test_the_doctor_tells_of_such_a_hub(trusting: ServedApp, tmp_path: Path) -> None:
    findings = await examine_api(installation(tmp_path, hub_url=trusting.url, token=trusting.secret))
    assert named(findings, "token").severity is Severity.OK
    assert "registered documents only" in named(findings, "token").message
    assert named(findings, "schema").severity is Severity.SKIPPED
    assert "HUB_TRUSTED_DOCUMENTS_ONLY" in named(findings, "schema").message


# -- what keeps a hub from starting


@pytest.fixture(scope="module")
def schema() -> HubSchema:
    return build_schema(max_cost=100_000)


def entry(text: str) -> dict[str, object]:
    return {sha256_of(text): text}


DEEP = "{ viewer { name } " + "agents { nodes { activeTasks { nodes { execution { tasks { nodes { execution { tasks { "
DEEP += "nodes { execution { tasks { nodes { execution { executionId } } } } } } } } } } } } } } }"
EXPENSIVE = (
    "query Expensive($first: Int!) { "
    + " ".join(
        f"a{number}: tasks(first: 100) {{ nodes {{ execution {{ tasks(first: 100) {{ nodes {{ title }} }} }} }} }}"
        for number in range(30)
    )
    + " agents(first: $first) { nodes { agentId } } }"
)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ({"0" * 64: VIEWER}, "0" * 64, f"its text has another hash, {sha256_of(VIEWER)}."),
        ({"f" * 32: VIEWER}, "f" * 32, "it must be named by the SHA-256 of its text, so tell your generator."),
        ({sha256_of(VIEWER): 7}, sha256_of(VIEWER), "it is no text."),
        (entry("{ viewer"), sha256_of("{ viewer"), "Syntax Error: Expected Name, found <EOF>."),
        (entry("{ nothing }"), sha256_of("{ nothing }"), "Cannot query field 'nothing' on type 'Query'."),
        (entry(DEEP), sha256_of(DEEP), "The operation has 14 levels of fields; at most 12 are allowed."),
        (entry(EXPENSIVE), sha256_of(EXPENSIVE), "The operation may come to "),
        (
            entry("{ tasks(first: 101) { nodes { title } } }"),
            sha256_of("{ tasks(first: 101) { nodes { title } } }"),
            "first must be from 1 to 100.",
        ),
    ],
)
def test_a_wrong_document_is_told_by_name(
    schema: HubSchema, tmp_path: Path, content: dict[str, object], name: str, reason: str
) -> None:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({sha256_of(VIEWER): VIEWER, **content}))
    with pytest.raises(WrongDocument) as caught:
        register(schema, file)
    assert f"The document {name} cannot be registered: {reason}" in caught.value.message
    assert caught.value.message.endswith(f"It is in {file}, which HUB_TRUSTED_DOCUMENTS names.")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: [Errno 2]"), ("{", "cannot be read: "), ("[]", "is a JSON object of texts by their")],
)
def test_a_file_that_is_none_is_told_of(schema: HubSchema, tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "documents.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(WrongDocument, match=re.escape(reason)):
        register(schema, file)


def test_then_the_hub_ends_with_one_line(database_url: str, tmp_path: Path) -> None:
    file = documents_file(tmp_path, "{ nothing }")
    ended = run_hub(tmp_path, "serve", HUB_DATABASE_URL=database_url, HUB_TRUSTED_DOCUMENTS=str(file))
    assert (ended.returncode, ended.stderr) == (1, "")
    (line,) = ended.stdout.splitlines()
    assert line.startswith(f"The hub cannot run: The document {sha256_of('{ nothing }')} cannot be registered: Cannot")


def test_only_needs_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TRUSTED_DOCUMENTS_ONLY", "true")
    with pytest.raises(ValidationError, match="this needs HUB_TRUSTED_DOCUMENTS"):
        Settings()


def test_queries_are_planned_whatever_variables_they_need(schema: HubSchema, tmp_path: Path) -> None:
    before = schema.planner.plans_made
    text = (
        "query Required($agentId: ID!, $first: Int!, $filter: TaskFilter!, $at: DateTime!, $role: AgentRole!, "
        "$known: Boolean!, $after: Cursor) { agent(agentId: $agentId) { agentName @include(if: $known) "
        "activeTasks(first: $first, filter: $filter, after: $after) { nodes { title } } } "
        "agents(filter: { agentRole: { eq: $role }, lastActivity: { lt: $at } }) { totalCount } }"
    )
    register(schema, documents_file(tmp_path, text))
    operation = schema.documents.prepare(text).operation(None)
    assert operation is not None
    given = {"agentId": "jane", "first": 20, "filter": {}, "role": "QA", "at": "2026-02-03T00:00:00Z", "known": True}
    values = coerce(schema, operation, given)
    assert isinstance(values, VariableValues)
    plan = schema.planner.plan_operation(operation, values.coerced, Principal("reader", Role.VIEWER))
    assert schema.planner.plans_made == before + 1
    assert isinstance(plan, Plan)
    assert plan.failures == ()


def test_what_can_be_asked_for_less_is_registered(schema: HubSchema, tmp_path: Path) -> None:
    before = schema.planner.plans_made
    level = "tasks(first: $first) { nodes { execution { %s } } }"
    text = f"query Deep($first: Int) {{ {level % level % level % 'executionId'} }}"
    for name, first in (("Required", "$first: Int!"), ("Default", "$first: Int = 100"), ("Optional", "$first: Int")):
        own = text.replace("Deep($first: Int)", f"{name}({first})")
        register(
            schema,
            documents_file(tmp_path, own.replace("executionId", " ".join(f"a{n}: executionId" for n in range(99)))),
        )
    assert schema.planner.plans_made == before


async def test_a_manifest_of_apollos_is_taken(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    operations = [{"id": sha256_of(VIEWER), "name": "Viewer", "type": "query", "body": VIEWER}]
    file.write_text(json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}))
    async with serve(trusted_documents=file, trusted_documents_only=True) as served:
        assert "data" in await served.ask(**apollos(VIEWER))


# -- automatic persisted queries


async def test_a_document_sent_with_its_hash_is_known_by_it(open_to_all: ServedApp) -> None:
    served = open_to_all
    unknown = await served.post(**apollos(VIEWER))
    assert (unknown.status_code, unknown.json()) == (200, {"errors": [NOT_FOUND]})
    assert (await served.post(accept=GRAPHQL_RESPONSE, **apollos(VIEWER))).status_code == 400
    sent = await served.ask(**WAYS["both"](VIEWER))
    assert sent == {"data": {"viewer": {"name": "viewer", "role": "VIEWER"}}}
    for name in ("apollo", "documentId", "hash"):
        assert await served.ask(**WAYS[name](VIEWER)) == sent
        async with served.socket() as socket:
            assert await socket.ask(**WAYS[name](VIEWER)) == sent
    assert served.schema.planner.plans_made == 1


async def test_the_same_over_a_socket(open_to_all: ServedApp) -> None:
    async with open_to_all.socket() as socket:
        assert await socket.ask(**apollos(VIEWER)) == [NOT_FOUND]
        sent = await socket.ask(**WAYS["both"](VIEWER))
        assert await socket.ask(**apollos(VIEWER)) == sent == {"data": {"viewer": {"name": "viewer", "role": "VIEWER"}}}
    assert await open_to_all.ask(**apollos(VIEWER)) == sent


async def test_what_is_wrong_or_too_long_is_not_kept(open_to_all: ServedApp) -> None:
    for text in ("{ viewer", "{ nothing }", VIEWER + " " * LONGEST_KEPT, "{ " + "a " * 5_000 + "}", "{ a" * 1_000):
        named = await open_to_all.ask(**WAYS["both"](text))
        assert named == await open_to_all.ask(query=text)
        assert codes(await open_to_all.ask(**apollos(text))) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_text_of_another_hash_is_neither_run_nor_kept(open_to_all: ServedApp) -> None:
    (error,) = (await open_to_all.ask(query=VIEWER, **apollos(UNKNOWN)))["errors"]
    assert error["message"] == (
        f"The document's SHA-256 is {sha256_of(VIEWER)}, and not the one that the request names."
    )
    for text in (VIEWER, UNKNOWN):
        assert codes(await open_to_all.ask(**apollos(text))) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert open_to_all.statements == []


async def test_a_python_client_of_the_protocol(open_to_all: ServedApp) -> None:
    headers = {"authorization": f"Bearer {open_to_all.secret}"}
    async with gql.Client(transport=HTTPXAsyncTransport(f"{open_to_all.url}/graphql", headers=headers)) as session:
        request = gql.GraphQLRequest(VIEWER)
        request.extensions = apollos(request.payload["query"])["extensions"]
        assert (await session.execute(request))["viewer"]["name"] == "viewer"
        assert "data" in await open_to_all.ask(**apollos(request.payload["query"]))


WRONG_NAMES: list[dict[str, Any]] = [
    {"documentId": 7},
    {"documentId": ""},
    {"documentId": "sha256:"},
    {"documentId": "md5:" + "0" * 32},
    {"documentId": "0" * 63},
    {"documentId": "A" * 64},
    {"documentId": "0" * 64, "query": ""},
    {"documentId": "0" * 64, "query": 7},
    {"extensions": {"persistedQuery": True}},
    {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
    {"extensions": {"persistedQuery": {"version": 1}}},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 7}}},
    {"documentId": "0" * 64, **apollos(VIEWER)},
]


async def test_names_that_are_none_are_no_requests(open_to_all: ServedApp) -> None:
    for request in WRONG_NAMES:
        answer = await open_to_all.post(**request)
        assert (answer.status_code, codes(answer.json())) == (400, ["INVALID_INPUT"]), request


def test_what_is_kept_is_bounded() -> None:
    kept = KeptTexts(most=2, most_bytes=10_000)
    for name in "abc":
        kept.put(name, name)
        kept.get("a")
    assert [kept.get(name) for name in "abc"] == ["a", None, "c"]
    kept.put("c", "c")
    assert kept.bytes == sys.getsizeof("a") + sys.getsizeof("c")
    kept.put("d", "d" * 9_000)
    kept.put("e", "e" * 9_000)
    assert (len(kept), kept.get("e")) == (1, "e" * 9_000)
    kept.put("f", "f" * 10_000)
    assert (len(kept), kept.bytes) == (0, 0)


# -- compression of the real answers


async def test_a_large_answer_is_compressed_and_the_same(open_to_all: ServedApp) -> None:
    request = {"query": "{ __schema { types { name description fields { name description } } } }"}
    plain = await open_to_all.http.post("/graphql", json=request, headers=sending(open_to_all, "identity"))
    zipped = await open_to_all.http.post("/graphql", json=request, headers=sending(open_to_all, "gzip"))
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) * 3 < int(plain.headers["content-length"])
    assert zipped.content == plain.content


def sending(served: ServedApp, encoding: str) -> dict[str, str]:
    return {"authorization": f"Bearer {served.secret}", "accept-encoding": encoding}
