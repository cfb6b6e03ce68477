"""The master key is rotated while processes write and read, and rotations are killed: nothing becomes unreadable."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import DecisionType
from app.domain.errors import Blocked
from app.domain.ids import new_id
from app.security.keyring import KeyFiles
from app.security.sealing import FixedKeys, Sealer, WrongMasterKey, parse_master_key
from app.services.decisions import RecordDecision, record_decision
from app.upkeep import rotation
from app.upkeep.rotation import GivenKeys, Progress, rotate_master_key
from db.embedded import EmbeddedServer
from db.queries.decisions import count_keys_not_of, keys_not_of, replace_keys, rotation_lock
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from tests.acceptance.processes import Process, api, data_folder, hub, worker
from tests.services.makers import ADMIN, count, row_of, run

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
SEEDED = 6_000
RECORD = """mutation ($i: DecisionRecordInput!) {
    decisionRecord(input: $i) { decision { decisionId } userErrors { message } } }"""
READ = "query ($id: ID!) { decision(decisionId: $id) { contextData reasoningProcess version } }"


def silent(_progress: Progress) -> None:
    """Tell nobody."""


async def a_decision(database: Database, sealer: Sealer, note: str = "why") -> UUID:
    command = RecordDecision(DecisionType.ESCALATION, {"note": note}, note, "so", 5)
    found: UUID = (await run(database, record_decision, ADMIN, command, sealer)).decision_id
    return found


async def text_of(database: Database, sealer: Sealer, decision_id: UUID) -> str:
    row = await row_of(database, decisions, decision_id=decision_id)
    return sealer.open(
        row.sealed_key, row.reasoning_process_sealed, "decisions", "reasoning_process", str(decision_id)
    ).decode()


async def test_every_key_is_wrapped_anew_and_no_decision_changes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 3)
    old, both = Sealer(OLD), Sealer(FixedKeys(NEW, OLD))
    ids = [await a_decision(database, old, f"reason {n}") for n in range(8)]
    await database.transact(
        lambda session: session.execute(
            update(decisions).where(decisions.c.decision_id == ids[3]).values(sealed_key=None)
        )
    )
    before = [await row_of(database, decisions, decision_id=i) for i in ids]
    events, told = await count(database, event_log), []
    progress = await rotate_master_key(database, GivenKeys(), both, lambda p: told.append((p.done, p.total)))
    after = [await row_of(database, decisions, decision_id=i) for i in ids]
    # the newest one was wrapped anew at the barrier
    assert (progress.done, progress.total) == (6, 6)
    assert told == [(0, 6), (3, 6), (6, 6)]
    assert await count(database, event_log) == events
    for was, now in zip(before, after, strict=True):
        assert dict(was._mapping) | {"sealed_key": None} == dict(now._mapping) | {"sealed_key": None}
    assert after[3].sealed_key is None
    kept = [i for i in ids if i != ids[3]]
    assert [await text_of(database, Sealer(NEW), i) for i in kept] == [f"reason {n}" for n in range(8) if n != 3]
    again = await rotate_master_key(database, GivenKeys(), both, silent)
    assert (again.done, again.total) == (0, 0)


async def test_who_only_has_the_old_key_writes_nothing_any_more(database: Database) -> None:
    await a_decision(database, Sealer(OLD))
    await rotate_master_key(database, GivenKeys(), Sealer(FixedKeys(NEW, OLD)), silent)
    with pytest.raises(WrongMasterKey, match="Nothing was written"):
        await a_decision(database, Sealer(OLD))
    assert await count(database, decisions) == 1
    await a_decision(database, Sealer(NEW))


async def test_who_was_sealing_when_the_rotation_began_is_waited_for(database: Database) -> None:
    await a_decision(database, Sealer(OLD))
    sealed, go_on = asyncio.Event(), asyncio.Event()
    command = RecordDecision(DecisionType.ESCALATION, {}, "late", "so", 5)

    async def slowly(session: AsyncConnection) -> UUID:
        row = await record_decision(session, ADMIN, command, Sealer(OLD))
        sealed.set()
        await go_on.wait()
        found: UUID = row.decision_id
        return found

    writer = asyncio.create_task(database.transact(slowly))
    await sealed.wait()
    rotating = asyncio.create_task(rotate_master_key(database, GivenKeys(), Sealer(FixedKeys(NEW, OLD)), silent))
    done, _ = await asyncio.wait({rotating}, timeout=1.0)
    assert not done
    # and others can still write in the meantime
    await asyncio.wait_for(a_decision(database, Sealer(FixedKeys(NEW, OLD))), 10)
    go_on.set()
    late = await writer
    await rotating
    assert await text_of(database, Sealer(NEW), late) == "late"


async def test_an_erasure_in_between_is_not_undone(database: Database) -> None:
    decision_id = await a_decision(database, Sealer(OLD))
    [row] = await database.transact(lambda session: keys_not_of(session, Sealer(NEW).key_id, None, 10))
    await database.transact(lambda session: session.execute(update(decisions).values(sealed_key=None)))
    replacement = (decision_id, row.sealed_key, b"another key")
    await database.transact(lambda session: replace_keys(session, [replacement]))
    assert (await row_of(database, decisions, decision_id=decision_id)).sealed_key is None


async def test_what_no_key_at_hand_opens_keeps_both_keys_and_is_named(database: Database, tmp_path: Path) -> None:
    foreign = await a_decision(database, Sealer(OLD))
    keys = KeyFiles(tmp_path / "master.key")
    await database.transact(lambda session: session.execute(update(decisions).values(sealed_key=b"x" * 68)))
    with pytest.raises(Blocked, match=str(foreign)):
        await rotate_master_key(database, keys, Sealer(keys), silent)
    assert keys.previous_path.exists()
    await database.transact(lambda session: session.execute(update(decisions).values(sealed_key=None)))
    await rotate_master_key(database, keys, Sealer(keys), silent)
    assert not keys.previous_path.exists()


async def test_one_that_is_killed_before_it_destroys_the_old_key_comes_to_its_end_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFiles(tmp_path / "master.key")
    decision_id = await a_decision(database, Sealer(keys))

    class Killed(BaseException):
        """What stands for SIGKILL."""

    def die(_keys: KeyFiles) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(KeyFiles, "retire_previous", die)
        with pytest.raises(Killed):
            await rotate_master_key(database, keys, Sealer(keys), silent)
    new = keys.current().key_id
    assert keys.previous_path.exists()
    await rotate_master_key(database, keys, Sealer(keys), silent)
    assert not keys.previous_path.exists()
    assert keys.current().key_id == new
    assert await text_of(database, Sealer(keys), decision_id) == "why"


async def test_of_two_rotations_one_is_refused(database: Database) -> None:
    both = Sealer(FixedKeys(NEW, OLD))
    for _ in range(2):
        await a_decision(database, Sealer(OLD))
    async with database.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        async with rotation_lock(alone):
            with pytest.raises(Blocked, match="under way"):
                await rotate_master_key(database, GivenKeys(), both, silent)
    assert await database.transact(lambda session: count_keys_not_of(session, Sealer(NEW).key_id)) == 2
    await rotate_master_key(database, GivenKeys(), both, silent)


# real processes from here on


@dataclass
class Load:
    """Writers and readers of sealed texts, each with a process of the API."""

    urls: list[str]
    token: str
    written: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, args=(n, url)) for n, url in enumerate(self.urls)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join(60)
        assert self.faults == []

    def _work(self, number: int, url: str) -> None:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {self.token}"}, timeout=30) as client:
            for turn in itertools.count():
                if self.stopping.is_set() or self.faults:
                    return
                try:
                    self._write_and_read(client, f"reason {number}-{turn}")
                except Exception as error:
                    self.faults.append(repr(error))

    def _write_and_read(self, client: httpx.Client, note: str) -> None:
        given = {"decisionType": "ESCALATION", "contextData": {"note": note}, "reasoningProcess": note,
                 "outcome": "so", "confidenceScore": 5}  # fmt: skip
        answer = post(client, RECORD, i=given)["decisionRecord"]
        assert answer["userErrors"] == [], answer
        self.written[answer["decision"]["decisionId"]] = note
        # one that any process wrote, perhaps under another key
        decision_id = list(self.written)[turn_of(len(self.written))]
        read = post(client, READ, id=decision_id)["decision"]
        assert read["reasoningProcess"] == self.written[decision_id], read
        time.sleep(0.01)


def turn_of(length: int) -> int:
    """Some place in a list of this length, another one each time it grows."""
    return (length * 7919) % length if length % 3 else length // 2


def post(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def in_database(url: str, work: Callable[[Database], Awaitable[Any]]) -> Any:
    async def run_it() -> Any:
        database = Database(url, pool_size=2, read_pool_size=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run_it())


async def seed(database: Database, sealer: Sealer) -> None:
    """Many decisions, so that a rotation takes a while."""
    rows = []
    for number in range(SEEDED):
        decision_id = new_id()
        texts = {"context_data": json.dumps({"n": number}).encode(), "reasoning_process": f"seed {number}".encode()}
        sealed = sealer.seal_row("decisions", str(decision_id), texts)
        rows.append({"decision_id": decision_id, "decision_type": "escalation", "outcome": f"seed {number}",
                     "context_data_sealed": sealed.columns["context_data"], "sealed_key": sealed.wrapped_key,
                     "reasoning_process_sealed": sealed.columns["reasoning_process"], "confidence_score": 5,
                     "decided_by": "root"})  # fmt: skip
    for start in range(0, SEEDED, 1000):
        part = rows[start : start + 1000]
        await database.transact(lambda session, part=part: session.execute(insert(decisions), part))  # type: ignore[misc]


WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE decisions SET sealed_key=%'"""


async def kill_at(folder: Path, url: str, place: int) -> None:
    """Start a rotation and kill it in the batch with the decision at this place, from the newest: its row is locked."""
    # two of them: within a transaction the activity of others stays as it was first seen
    locking, watching = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with locking.transaction():
            await locking.execute("SELECT FROM decisions ORDER BY decision_id DESC OFFSET $1 LIMIT 1 FOR UPDATE", place)
            with Process(folder, "key", "rotate", ready="(never)") as rotating:
                while not await watching.fetchval(WAITING):
                    assert rotating.popen.poll() is None, rotating.log.read_text()
                    await asyncio.sleep(0.01)
                rotating.kill()
    finally:
        await locking.close()
        await watching.close()
    assert (folder / "master.key.previous").exists()


def all_reasons(url: str, token: str) -> dict[str, str]:
    """The reasoning of every decision by its id, read over the API."""
    query = """query ($after: Cursor) { decisions(first: 100, after: $after) {
        nodes { decisionId reasoningProcess outcome version contextData } pageInfo { endCursor hasNextPage } } }"""
    found: dict[str, str] = {}
    after: object = None
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
        while True:
            page = post(client, query, after=after)["decisions"]
            assert all(node["version"] == 1 and node["contextData"] for node in page["nodes"])
            found |= {node["decisionId"]: node["reasoningProcess"] for node in page["nodes"]}
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]


def all_on_the_current_key(folder: Path) -> Callable[[Database], Awaitable[bool]]:
    key_id = KeyFiles(folder / "master.key").current().key_id

    async def check(database: Database) -> bool:
        return await database.transact(lambda session: count_keys_not_of(session, key_id)) == 0

    return check


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_rotation_under_load_that_is_killed_and_run_again_loses_nothing() -> None:
    with data_folder() as folder:
        assert hub(folder, "", "migrate").returncode == 0
        with api(folder, "serve") as one, api(folder, "serve") as two, worker(folder) as engine:
            urls = [one.wait_until_ready(), two.wait_until_ready()]
            engine.wait_until_ready()
            old_key = parse_master_key((folder / "master.key").read_text())
            server = EmbeddedServer.start(folder)
            try:
                database_url = server.url()
                in_database(database_url, lambda database: seed(database, Sealer(old_key)))
                load = Load(urls, (folder / "admin.token").read_text().strip())

                with load.running():
                    for place in (100, SEEDED // 2, SEEDED - 100):
                        asyncio.run(kill_at(folder, database_url, place))
                    finished = hub(folder, "", "key", "rotate")
                    assert finished.returncode == 0, finished.stdout + finished.stderr
                    seen = len(load.written)
                    deadline = time.monotonic() + 30
                    while len(load.written) < seen + 20 and not load.faults:
                        assert time.monotonic() < deadline
                        time.sleep(0.05)
                assert not (folder / "master.key.previous").exists()
                assert parse_master_key((folder / "master.key").read_text()) != old_key
                assert in_database(database_url, all_on_the_current_key(folder))
                shown = hub(folder, "", "key", "show-id").stdout.strip()
                assert shown == KeyFiles(folder / "master.key").current().key_id.hex()
                reasons = all_reasons(urls[0], load.token)
            finally:
                server.stop()
        assert load.written.items() <= reasons.items()
        assert sorted(reasons.values()) == sorted([*load.written.values(), *(f"seed {n}" for n in range(SEEDED))])
        assert "master key" not in engine.log.read_text()


@pytest.mark.rare
@pytest.mark.slow
def test_the_command_tells_how_a_given_key_is_rotated() -> None:
    with data_folder() as folder:
        variables = {"HUB_MASTER_KEY": OLD.hex()}
        with Process(folder, "migrate", ready="(never)", **variables) as migrating:
            assert migrating.popen.wait(60) == 0
        with Process(folder, "key", "rotate", ready="(never)", **variables) as refused:
            assert refused.popen.wait(60) == 1
        assert "HUB_MASTER_KEY_PREVIOUS=<old key>" in refused.log.read_text()
        both = {"HUB_MASTER_KEY": NEW.hex(), "HUB_MASTER_KEY_PREVIOUS": OLD.hex()}
        with Process(folder, "key", "rotate", ready="(never)", **both) as rotated:
            assert rotated.popen.wait(60) == 0
        assert Sealer(NEW).key_id.hex() in rotated.log.read_text()
        assert "Take HUB_MASTER_KEY_PREVIOUS away" in rotated.log.read_text()
        assert NEW.hex() not in rotated.log.read_text()
        assert not (folder / "master.key").exists()
