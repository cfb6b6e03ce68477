import asyncio

import asyncpg
import pytest

from app.live.hints import CHANNEL, INTERVAL, HintSender
from db.session import Database
from tests.live.events import write


async def test_a_burst_of_commits_is_few_notifies(database: Database, database_url: str, hints: HintSender) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(database_url)
    await listener.add_listener(CHANNEL, lambda _connection, _pid, _channel, payload: heard.append(str(payload)))
    started = asyncio.get_running_loop().time()
    await write(database, *map(str, range(200)))
    took = asyncio.get_running_loop().time() - started
    await asyncio.sleep(0.2)
    await listener.close()
    assert 1 <= len(heard) <= took / INTERVAL + 2
    assert len(heard) < 150
    assert set(heard) == {""}


async def test_local_waiters_are_woken_at_once_and_only_while_they_want(database: Database, hints: HintSender) -> None:
    with hints.subscribe() as wakeup:
        gone = hints.subscribe()
        gone.close()
        assert not wakeup.is_set()
        await write(database, "one")
        assert wakeup.is_set()
        assert not gone.is_set()
        wakeup.clear()
        hints.wake()
        assert wakeup.is_set()


async def test_nothing_is_sent_for_a_transaction_that_failed(database: Database, hints: HintSender) -> None:
    async def fail(_session: object) -> None:
        raise LookupError("on purpose")

    with hints.subscribe() as wakeup:
        with pytest.raises(LookupError):
            await database.transact(fail)
        await asyncio.sleep(0.05)
        assert not wakeup.is_set()


async def test_stopping_leaves_no_task(database: Database) -> None:
    before = asyncio.all_tasks()
    sender = HintSender(database)
    await sender.start()
    await write(database, "one")
    await asyncio.sleep(0.1)
    running = sender.backend_pid
    assert running is not None
    await sender.stop()
    assert asyncio.all_tasks() == before
    stopped = sender.backend_pid
    assert stopped is None
    await write(database, "after")  # the hook stays registered, and harmless
    await sender.stop()
