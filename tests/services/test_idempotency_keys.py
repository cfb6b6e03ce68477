"""Idempotency keys that are not remembered any more are deleted; the others stay."""

import pytest
from sqlalchemy import text

from app.upkeep import idempotency_keys
from app.upkeep.idempotency_keys import sweep_keys
from db.session import Database


async def test_keys_older_than_a_week_are_deleted_some_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency_keys, "BATCH", 3)
    sql = """INSERT INTO idempotency_keys (principal, key, request_hash, created_at)
        SELECT 'ann', 'key-' || n, '', now() - make_interval(days => n) FROM generate_series(1, 14) n"""
    await database.transact(lambda session: session.execute(text(sql)))
    # the seventh is a moment older than a week by now
    assert await sweep_keys(database) == 8
    assert await sweep_keys(database) == 0
    keys = await database.transact(lambda s: s.execute(text("SELECT key FROM idempotency_keys")))
    assert sorted(keys.scalars()) == [f"key-{n}" for n in range(1, 7)]
