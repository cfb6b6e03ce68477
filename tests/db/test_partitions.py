"""Partitions are made ahead, once, and without holding up anybody."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.domain.metrics import AHEAD, RETENTION
from app.upkeep.partitions import run_partition_upkeep
from db.locks import schema_lock
from db.partitions import PARTITIONINGS, Span, make_partitions, make_partitions_unless_busy
from db.session import Database
from db.tables.events import event_log
from db.tables.metrics import resource_metrics

EVENT = {"aggregate": "agent", "entity_id": "james-dev", "event_type": "registered", "actor": "test"}
LATER = timedelta(days=400)


async def database_time(database: Database) -> datetime:
    async with database.snapshot() as connection:
        return (await connection.execute(select(func.now()))).scalar_one()


async def names(database: Database) -> set[str]:
    async with database.snapshot() as connection:
        found = await connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"))
        return set(found.all())


async def execute(database: Database, statement: str) -> None:
    await database.transact(lambda connection: connection.execute(text(statement)))


def test_spans_join_without_gap_or_overlap() -> None:
    moment = datetime(2027, 12, 31, 23, 59, tzinfo=UTC)
    assert Span.DAY.following(Span.DAY.start(moment)) == datetime(2028, 1, 1, tzinfo=UTC)
    assert Span.WEEK.start(moment) == datetime(2027, 12, 27, tzinfo=UTC)
    assert Span.WEEK.following(Span.WEEK.start(moment)) == datetime(2028, 1, 3, tzinfo=UTC)
    assert Span.MONTH.following(Span.MONTH.start(moment)) == datetime(2028, 1, 1, tzinfo=UTC)
    for partitioning in PARTITIONINGS:
        for day in range(800):
            now = moment + timedelta(days=day)
            made = list(partitioning.partitions(now))
            assert made[0].low <= now - partitioning.behind
            assert now + partitioning.ahead < made[-1].high
            assert [partition.low for partition in made[1:]] == [partition.high for partition in made[:-1]]


async def test_every_measurement_that_is_taken_has_a_partition(database: Database) -> None:
    now = await database_time(database)
    times = [now - RETENTION + timedelta(minutes=1), now - RETENTION / 2, now, now + AHEAD]

    async def record(connection: AsyncConnection) -> None:
        rows = [{"metric_id": new_id(), "measurement_time": time} for time in times]
        await connection.execute(insert(resource_metrics), rows)

    await database.transact(record)
    assert await database.fetch_value("SELECT count(*) FROM resource_metrics") == 4


async def test_events_go_to_their_retention_class(database: Database) -> None:
    async def write(connection: AsyncConnection) -> None:
        for retention in ("audit", "report", "report"):
            await connection.execute(insert(event_log).values(retention=retention, **EVENT))

    await database.transact(write)
    assert await database.fetch_value("SELECT count(*) FROM event_log_audit") == 1
    assert await database.fetch_value("SELECT count(*) FROM event_log_report") == 2


async def test_a_second_time_makes_nothing_and_later_only_what_is_missing(database: Database) -> None:
    now, before = await database_time(database), await names(database)
    async with database.engine.connect() as connection:
        assert await make_partitions(connection, now) == []
        tomorrow = await make_partitions(connection, now + timedelta(days=1))

    assert {name for name in tomorrow if name.startswith("event_log_report_")} == {
        f"event_log_report_{now + timedelta(days=8):%Y%m%d}"
    }
    assert await names(database) == before | set(tomorrow)


async def test_a_new_partition_has_what_its_table_has(database: Database) -> None:
    later = await database_time(database) + LATER
    async with database.engine.connect() as connection:
        await make_partitions(connection, later)

    async def write(connection: AsyncConnection) -> Row[Any]:
        row = {"retention": "report", "created_at": later, **EVENT}
        return (
            await connection.execute(insert(event_log).values(row).returning(event_log.c.id, event_log.c.xid))
        ).one()

    assert all(await database.transact(write))
    unattached = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
    unattached += " LEFT JOIN pg_inherits ON inhrelid = indexrelid WHERE relispartition AND inhparent IS NULL"
    assert await database.fetch_value(unattached) == 0


async def test_readers_and_writers_are_not_held_up(database: Database) -> None:
    later = await database_time(database) + LATER
    async with database.engine.connect() as writer, database.engine.connect() as maker:
        # an open transaction that has read and written the tables stops the maker only where locks conflict …
        await writer.execute(insert(event_log).values(retention="report", **EVENT))
        await writer.execute(insert(resource_metrics).values(metric_id=new_id(), measurement_time=func.now()))
        await writer.execute(select(func.count()).select_from(event_log))
        made = await asyncio.wait_for(make_partitions(maker, later), 30)
        assert len(made) > 10
        # … and a maker in the middle of its transaction stops no writer
        async with maker.begin():
            await maker.execute(text("CREATE TABLE extra (LIKE event_log_report INCLUDING ALL EXCLUDING IDENTITY)"))
            await maker.execute(
                text("ALTER TABLE event_log_report ATTACH PARTITION extra FOR VALUES FROM ('2090-01-01') TO (MAXVALUE)")
            )
            await asyncio.wait_for(writer.execute(insert(event_log).values(retention="report", **EVENT)), 30)
            await asyncio.wait_for(writer.execute(select(func.count()).select_from(event_log)), 30)
        await writer.rollback()


async def test_a_locked_table_is_tried_again(database: Database) -> None:
    later = await database_time(database) + LATER
    async with database.engine.connect() as blocker, database.engine.connect() as maker:
        await blocker.execute(text("LOCK TABLE event_log_report IN SHARE UPDATE EXCLUSIVE MODE"))
        making = asyncio.create_task(make_partitions(maker, later))
        await asyncio.sleep(0.6)
        assert not making.done()
        await blocker.rollback()
        assert len(await making) > 10


async def test_a_table_that_stays_locked_is_an_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.partitions.ATTEMPTS", 2)
    later = await database_time(database) + LATER
    async with database.engine.connect() as blocker, database.engine.connect() as maker:
        await blocker.execute(text("LOCK TABLE event_log_report IN SHARE UPDATE EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await make_partitions(maker, later)


async def test_one_process_does_it(database: Database) -> None:
    await execute(database, "DROP TABLE event_log_report CASCADE")
    await execute(
        database,
        "CREATE TABLE event_log_report PARTITION OF event_log FOR VALUES IN ('report') PARTITION BY RANGE (created_at)",
    )
    async with database.engine.connect() as other:
        await other.execution_options(isolation_level="AUTOCOMMIT")
        async with schema_lock(other, wait=False) as held:
            assert held
            assert await make_partitions_unless_busy(database) == []
    made = await asyncio.gather(*(make_partitions_unless_busy(database) for _ in range(2)))
    assert sorted(map(len, made)) == [0, 8]
    assert await database.fetch_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_upkeep_makes_them_and_ends_cleanly(database: Database) -> None:
    report = await database.fetch_value(
        "SELECT max(relname) FROM pg_class WHERE relname LIKE 'event_log_report_2%' AND relkind = 'r'"
    )
    await execute(database, f"DROP TABLE {report}")

    upkeep = asyncio.create_task(run_partition_upkeep(database, 0.05))
    async with asyncio.timeout(60):
        while report not in await names(database):  # noqa: ASYNC110  (the database says when)
            await asyncio.sleep(0.02)
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep
    assert upkeep.cancelled()
    assert await database.fetch_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
