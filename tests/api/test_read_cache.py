"""Kept answers: the same request is answered by the same bytes, for as long as nothing that it reads has moved."""

import asyncio
from typing import Any

import orjson
import pytest

from app.domain.principals import Role
from db.session import Database
from graphql_schema import read_cache
from tests.api.conftest import Client, MakeClient
from tests.api.test_decision_mutations import DECISION
from tests.live.events import eventually
from tests.services.makers import a_task, an_agent

TASKS = "{ tasks { nodes { title status } } }"
AGENTS = "{ agents { nodes { agentId } } }"
ME = "{ viewer { name } agents { totalCount } }"


async def asked(client: Client, query: str, **headers: str) -> tuple[Any, bool]:
    """The data, and whether it had been kept."""
    answer = await client.http.post(
        "/graphql",
        content=orjson.dumps({"query": query}),
        headers={"authorization": f"Bearer {client.secret}", "content-type": "application/json", **headers},
    )
    assert answer.status_code == 200
    return answer.json()["data"], answer.headers.get("x-hub-cache") == "hit"


async def warm(client: Client, query: str) -> Any:
    """The data, once it is kept: the tail must have seen all that was written before."""
    data, kept = await asked(client, query)
    async with asyncio.timeout(20):
        while not kept:
            data, kept = await asked(client, query)
    return data


async def test_the_same_request_is_answered_by_what_is_kept(client_for: MakeClient) -> None:
    viewer, other = await client_for(Role.VIEWER), await client_for(Role.VIEWER)
    assert await warm(viewer, TASKS) == {"tasks": {"nodes": []}}
    # somebody else of the same rights gets the same, also compressed
    assert await asked(other, TASKS) == ({"tasks": {"nodes": []}}, True)
    assert await asked(other, TASKS, **{"accept-encoding": "gzip, identity;q=0"}) == ({"tasks": {"nodes": []}}, True)
    assert await asked(other, TASKS, **{"cache-control": "no-cache"}) == ({"tasks": {"nodes": []}}, False)


async def test_who_writes_reads_what_it_wrote(client_for: MakeClient) -> None:
    admin = await client_for(Role.ADMIN)
    for number in range(20):
        before = await warm(admin, TASKS)
        await admin.do("taskCreate", title=f"Task {number}")
        after, kept = await asked(admin, TASKS)
        assert not kept
        assert len(after["tasks"]["nodes"]) == min(number + 1, 20) >= len(before["tasks"]["nodes"])


async def test_what_others_write_ends_what_reads_it(client_for: MakeClient, database: Database) -> None:
    viewer = await client_for(Role.VIEWER)
    await warm(viewer, TASKS)
    await a_task(database, "Written elsewhere")  # by another pool: as by another process
    titles: list[str] = []
    async with asyncio.timeout(20):
        while not titles:
            titles = [node["title"] for node in (await asked(viewer, TASKS))[0]["tasks"]["nodes"]]
    assert titles == ["Written elsewhere"]


async def test_what_others_write_leaves_the_rest(
    client_for: MakeClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_cache, "HOLDS", 60.0)
    viewer = await client_for(Role.VIEWER)
    await warm(viewer, TASKS)
    await warm(viewer, AGENTS)
    await an_agent(database)

    async def is_shown() -> bool:
        return bool((await asked(viewer, AGENTS))[0]["agents"]["nodes"])

    await eventually(is_shown)
    assert (await asked(viewer, TASKS))[1]


async def test_an_answer_holds_for_some_seconds_at_most(
    client_for: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await client_for(Role.VIEWER)
    await warm(viewer, TASKS)
    monkeypatch.setattr(read_cache, "HOLDS", 0.0)
    assert not (await asked(viewer, TASKS))[1]


async def test_answers_are_shared_by_rights_and_personal_ones_by_nobody(
    client_for: MakeClient, database: Database
) -> None:
    viewer, other, admin = await client_for(Role.VIEWER), await client_for(Role.VIEWER), await client_for(Role.ADMIN)
    mine = await warm(viewer, ME)
    assert await asked(other, ME) == (mine, False)
    assert await asked(other, ME) == (mine, True)
    await warm(viewer, TASKS)
    assert not (await asked(admin, TASKS))[1]


async def test_what_is_sealed_is_never_kept(client_for: MakeClient) -> None:
    pm, viewer = await client_for(Role.PM), await client_for(Role.VIEWER)
    await pm.do("decisionRecord", **DECISION)
    query = "{ decisions { nodes { outcome reasoningProcess } } }"
    await warm(viewer, query)  # nothing of it is opened for a viewer
    for _ in range(5):
        data, kept = await asked(pm, query)
        assert (data["decisions"]["nodes"][0]["reasoningProcess"], kept) == (DECISION["reasoningProcess"], False)


async def test_mutations_errors_and_introspection_are_not_kept(client_for: MakeClient) -> None:
    admin = await client_for(Role.ADMIN)
    await warm(admin, TASKS)
    for query in ("{ tasks(first: 0) { totalCount } }", "{ __schema { description } }"):
        for _ in range(3):
            answer = await admin.post({"query": query})
            assert "x-hub-cache" not in answer.headers


async def test_nothing_is_kept_while_the_tail_cannot_say(client_for: MakeClient, database: Database) -> None:
    viewer = await client_for(Role.VIEWER)
    await warm(viewer, TASKS)
    async with database.engine.connect() as holding:
        # a transaction that has written holds the horizon, so the tail cannot pass what comes after it
        await holding.exec_driver_sql("SELECT pg_current_xact_id()")
        await a_task(database, "Held up")

        async def is_made_anew() -> bool:
            return not (await asked(viewer, TASKS))[1]

        await eventually(is_made_anew)
        assert len((await asked(viewer, TASKS))[0]["tasks"]["nodes"]) == 1


async def test_memory_is_bounded(client_for: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = await client_for(Role.VIEWER)
    caches: list[read_cache.ReadCache] = []
    keep = read_cache.ReadCache.keep

    def noted(self: read_cache.ReadCache, *arguments: Any) -> None:
        self._most = 10_000
        keep(self, *arguments)
        caches.append(self)

    monkeypatch.setattr(read_cache.ReadCache, "keep", noted)
    await warm(viewer, TASKS)
    for number in range(50):
        await asked(viewer, f"{{ tasks(first: {number + 1}) {{ nodes {{ title }} }} }}")
    assert 0 < len(caches[0]) < 50
    assert caches[0].bytes == sum(kept.size for kept in caches[0]._kept.values()) <= 10_000
