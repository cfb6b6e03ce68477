"""What is sealed of a decision stands in no dump of the database, in no log and in no answer to who may not read it."""

import base64
import itertools
import json
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
import structlog

from app.domain.decisions import DecisionType
from app.domain.principals import Role
from app.main import create_app
from app.security.keyring import KeyFiles
from app.security.logs import configure_logging
from app.security.sealing import Sealer
from app.security.tokens import new_secret
from app.services import decisions as decision_services
from app.services.access import CreateToken, create_token
from app.services.decisions import RecordDecision, record_decision
from app.settings import Settings
from db.embedded import EmbeddedServer
from db.session import Database
from db.tables.decisions import decisions
from tests.api.conftest import Client, MakeClient
from tests.engine.team import store_template, task_phase, until
from tests.services.makers import ADMIN, count, row_of, run

CONTEXT = "Über-Zephyr quokka dossier 7431"
REASON = "marmalade ß lighthouse reckoning 9142"
OPEN = "an outcome for everybody 5527"
NOTE = "platypus umbrella in the context's key 3318"
SEALED = (CONTEXT, REASON, NOTE)
DECIDE = {"name": "decide", "kind": "decision", "question": "Shall we?"}
BUILD = task_phase("build", uses=["decide"])
REVIEW = {"name": "review", "kind": "gate", "gate_type": "technical_review", "title": "Review", "verdict_by": "pm",
          "uses": ["decide", "build"]}  # fmt: skip


def sealed_input(**more: Any) -> dict[str, Any]:
    """The fields of a decision whose sealed parts are distinctive."""
    return {"decisionType": "TASK_ASSIGNMENT", "contextData": {"dossier": [CONTEXT], NOTE: True}, "outcome": OPEN,
            "reasoningProcess": f"First, {REASON}; therefore.", "confidenceScore": 7} | more  # fmt: skip


def nested(value: Any) -> Any:
    """The value, deeper than is taken."""
    for _ in range(40):
        value = {CONTEXT: [value]}
    return value


def forms_of(text: str) -> Iterator[bytes]:
    """The text as it may be hidden in a dump: encoded, escaped, in hexadecimal or base64."""
    for raw in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"), json.dumps(text)[1:-1].encode(),
                quote(text).encode(), text[::-1].encode()):  # fmt: skip
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        for shift in range(3):
            # whatever stands before it: all but the characters that its neighbours share in
            inner = base64.b64encode(b"\x00" * shift + raw)[4 if shift else 0 : -4]
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def traces(haystack: bytes, texts: tuple[str, ...] = SEALED) -> list[tuple[str, bytes]]:
    """Which of the texts are in there, and in which form."""
    lowered = haystack.lower()
    return [
        (text, form)
        for text in texts
        for form in forms_of(text)
        if form in haystack or (form.isalnum() and form.lower() in lowered and len(form) > 40)
    ]


def test_the_search_finds_what_is_hidden() -> None:
    for hidden in (CONTEXT.encode(), CONTEXT.encode("utf-16-le"), json.dumps({"a": CONTEXT}).encode(),
                   b"\\x" + f"...{CONTEXT}...".encode().hex().encode(), quote(CONTEXT).encode()):  # fmt: skip
        assert traces(hidden)
    for before in range(4):
        assert traces(base64.b64encode(b"x" * before + CONTEXT.encode() + b"yz"))
    assert not traces(OPEN.encode())


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Logging as it was, after the test."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers.clear()
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@asynccontextmanager
async def a_hub(database: Database, folder: Path) -> AsyncIterator[dict[str, Client]]:
    """The whole hub with a worker, and clients of it."""
    settings = Settings(data_dir=folder, database_url=database.url, pool_size=5, read_pool_size=3)
    app = create_app(settings, database.url, with_worker=True)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        clients = {}
        for name, role, agent in (("pm", Role.PM, "john-pm"), ("dev", Role.AGENT, "james-dev"),
                                  ("viewer", Role.VIEWER, None), ("reviewer", Role.REVIEWER, None)):  # fmt: skip
            secret = new_secret()
            await run(database, create_token, ADMIN, CreateToken(name, role, secret, agent))
            clients[name] = Client(http, secret)
        yield clients


async def claimed(client: Client, agent_id: str) -> dict[str, Any]:
    """The next task of the agent, started."""

    async def claim() -> Any:
        return (await client.do("taskClaim", "task { taskId version }", agentId=agent_id))["task"]

    task = await until(claim)
    fields = {"taskId": task["taskId"], "expectedVersion": task["version"]}
    started: dict[str, Any] = (await client.do("taskStart", "task { taskId version input }", **fields))["task"]
    return started


async def a_workflow(hub: dict[str, Client]) -> str:
    """A request for a decision, its answer, work on it, a review and a verdict; the decision's id."""
    pm, dev = hub["pm"], hub["dev"]
    await pm.do("agentRegister", agentId="john-pm", agentRole="PM")
    await dev.do("agentRegister", agentId="james-dev", agentRole="DEVELOPER")
    started = await pm.do("workflowStart", "workflow { executionId }", workflowName="sealed-flow")
    execution_id = started["workflow"]["executionId"]
    asked = await claimed(pm, "john-pm")
    decided = await pm.do(
        "decisionRecord", "decision { decisionId contextData }",
        **sealed_input(taskId=asked["taskId"], expectedVersion=asked["version"], idempotencyKey="sealed-key-1",
                       learningNotes="remember"),
    )  # fmt: skip
    assert decided["userErrors"] == []
    built = await claimed(dev, "james-dev")
    assert not traces(json.dumps(built).encode())
    await dev.do("taskReportProgress", taskId=built["taskId"], message="half", percent=50)
    await dev.do("taskComplete", taskId=built["taskId"], expectedVersion=built["version"], result={"built": True})
    verdict = await claimed(pm, "john-pm")
    gates = "{ qualityGates(first: 1) { nodes { gateId version } } }"
    [gate] = (await pm.ask(gates))["qualityGates"]["nodes"]
    approved = await pm.do(
        "qualityGateApprove", "qualityGate { approvalStatus } decision { contextData reasoningProcess }",
        gateId=gate["gateId"], expectedVersion=gate["version"], taskId=verdict["taskId"], pmDecision=OPEN,
        reasoningProcess=REASON, confidenceScore=8,
    )  # fmt: skip
    assert approved["userErrors"] == []
    assert approved["decision"]["reasoningProcess"] == REASON
    status = "query ($id: ID!) { workflow(executionId: $id) { executionStatus } }"

    async def is_completed() -> bool:
        return bool((await pm.ask(status, id=execution_id))["workflow"]["executionStatus"] == "COMPLETED")

    await until(is_completed)
    return str(decided["decision"]["decisionId"])


async def refused_and_failed(hub: dict[str, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way in which a decision is not recorded: refusals, a dry run, forbidden, and a defect of the hub."""
    pm = hub["pm"]
    wrong: list[dict[str, Any]] = [
        {"confidenceScore": 11}, {"executionId": str(UUID(int=1))}, {"outcome": " "}, {"taskId": str(UUID(int=1))},
        {"reasoningProcess": REASON + "\x00"}, {"contextData": nested(CONTEXT)}, {"idempotencyKey": "sealed-key-1"},
    ]  # fmt: skip
    for change in wrong:
        payload = await pm.do("decisionRecord", **sealed_input(**change))
        assert payload["userErrors"], change
        assert not traces(json.dumps(payload, ensure_ascii=False).encode())
    dry = await pm.do("decisionRecord", "dryRun { wouldSucceed changes { detail } }", **sealed_input(dryRun=True))
    assert dry["dryRun"]["wouldSucceed"]
    assert not traces(json.dumps(dry, ensure_ascii=False).encode())
    assert (await hub["dev"].do("decisionRecord", **sealed_input()))["userErrors"][0]["code"] == "FORBIDDEN"

    async def fail(*arguments: Any) -> None:
        raise RuntimeError("a defect")

    query = "mutation ($i: DecisionRecordInput!) { decisionRecord(input: $i) { userErrors { code } } }"
    with monkeypatch.context() as patched:
        patched.setattr(decision_services, "create", fail)
        answer = await pm.post({"query": query, "variables": {"i": sealed_input()}})
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert not traces(answer.content)
    malformed = await pm.post({"query": query, "variables": {"i": sealed_input(confidenceScore="high")}})
    assert "errors" in malformed.json()


def dumped(server: EmbeddedServer, database_url: str) -> bytes:
    """All schemas of the database as SQL, large values included."""
    return _run(server, "pg_dump", "--dbname", database_url, "--format=plain")


def _run(server: EmbeddedServer, command: str, *arguments: str) -> bytes:
    result = subprocess.run(
        [server.bin_path / command, *arguments], env=os.environ | {"LC_ALL": "C"}, cwd="/", check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    return result.stdout


@pytest.fixture
def restored(postgres: EmbeddedServer, database_url: str, tmp_path: Path) -> Iterator["Restored"]:
    """Restores this test's database under another name."""
    made = Restored(postgres, database_url, tmp_path)
    yield made
    made.drop()


class Restored:
    """A second database, made of a dump of the first in PostgreSQL's own format."""

    _numbers = itertools.count(1)

    def __init__(self, server: EmbeddedServer, database_url: str, folder: Path) -> None:
        self._server, self._source, self._folder = server, database_url, folder
        self._name = f"restored_{next(self._numbers)}"
        self._made = False

    def make(self) -> str:
        """Dump, restore; the address of the copy."""
        archive = self._folder / "hub.dump"
        _run(self._server, "pg_dump", "--dbname", self._source, "--format=custom", "--file", str(archive))
        self._server.create_database(self._name)
        self._made = True
        url = self._server.url(self._name)
        _run(self._server, "pg_restore", "--dbname", url, "--exit-on-error", str(archive))
        return url

    def drop(self) -> None:
        if self._made:
            self._server.drop_database(self._name)


READ = """query ($id: ID!) {
    decision(decisionId: $id) { outcome contextData reasoningProcess sealed { access reason } } }"""
WIDE = "{ decisions { nodes { contextData reasoningProcess } } tasks { nodes { input result } } }"


@pytest.mark.usefixtures("own_logging")
async def test_the_sealed_text_is_nowhere_but_in_the_answers_to_those_who_may_read_it(
    database: Database,
    database_url: str,
    postgres: EmbeddedServer,
    tmp_path: Path,
    restored: Restored,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logging("DEBUG")
    await store_template(database, "sealed-flow", DECIDE, BUILD, REVIEW)
    async with a_hub(database, tmp_path) as hub:
        decision_id = await a_workflow(hub)
        await refused_and_failed(hub, monkeypatch)
        opened = (await hub["pm"].ask(READ, id=decision_id))["decision"]
        assert opened == {
            "outcome": OPEN,
            "contextData": sealed_input()["contextData"],
            "reasoningProcess": sealed_input()["reasoningProcess"],
            "sealed": {"access": "OPEN", "reason": None},
        }
        for name in ("viewer", "dev", "reviewer"):
            closed = (await hub[name].ask(READ, id=decision_id))["decision"]
            assert (closed["contextData"], closed["reasoningProcess"]) == (None, None)
            assert closed["sealed"]["access"] == "FORBIDDEN"
            assert "PM" in closed["sealed"]["reason"].upper()
            assert not traces(json.dumps(await hub[name].ask(WIDE), ensure_ascii=False).encode())
    plain = dumped(postgres, database_url)
    copy = restored.make()
    again = dumped(postgres, copy)
    for dump in (plain, again):
        # the dump is whole: what is open is in it, and the rows of every schema
        assert traces(dump, (OPEN,))
        assert b"COPY langgraph.checkpoints " in dump
        assert b"COPY public.idempotency_keys " in dump
        assert decision_id.encode() in dump
        assert traces(dump) == []
    output = capfd.readouterr()
    assert "a defect" in output.err
    assert traces((output.out + output.err).encode()) == []
    await _opens_with_its_key(copy, tmp_path, decision_id)


async def _opens_with_its_key(url: str, folder: Path, decision_id: str) -> None:
    """A restored dump and the master key are a backup."""
    database = Database(url, pool_size=2, read_pool_size=1)
    try:
        row = await row_of(database, decisions, decision_id=UUID(decision_id))
    finally:
        await database.close()
    sealer = Sealer(KeyFiles(folder / "master.key"))
    reason = sealer.open(row.sealed_key, row.reasoning_process_sealed, "decisions", "reasoning_process", decision_id)
    assert reason.decode() == sealed_input()["reasoningProcess"]


async def test_what_another_key_sealed_is_a_typed_error_and_nothing_is_sealed_beside_it(
    database: Database, client_for: MakeClient
) -> None:
    pm = await client_for(Role.PM)
    command = RecordDecision(DecisionType.ESCALATION, {}, REASON, OPEN, 5)
    foreign = str((await run(database, record_decision, ADMIN, command, Sealer(bytes(range(32))))).decision_id)
    key_id = Sealer(bytes(range(32))).key_id.hex()
    answer = (await pm.post({"query": READ, "variables": {"id": foreign}})).json()
    assert answer["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
    assert f"does not have the master key {key_id}" in answer["errors"][0]["message"]
    assert foreign in answer["errors"][0]["message"]
    read = await pm.ask("query ($id: ID!) { decision(decisionId: $id) { outcome } }", id=foreign)
    assert read == {"decision": {"outcome": OPEN}}
    [error] = (await pm.do("decisionRecord", **sealed_input()))["userErrors"]
    assert error["code"] == "UNAVAILABLE"
    assert error["message"].startswith("Nothing was written.")
    assert await count(database, decisions) == 1
