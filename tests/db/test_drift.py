"""The migrations build what db/tables declares: nothing more, nothing less, and nothing different."""

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from db.migrations.scope import include_name
from db.tables.registry import metadata

# what Alembic does not compare; partitions and the two halves of the event log belong to the migrations
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(constraints.oid)
    FROM pg_constraint AS constraints JOIN pg_class ON pg_class.oid = conrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT relispartition AND relname <> 'alembic_version'
"""
PARTITION_KEYS = """
    SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid)
    FROM pg_partitioned_table JOIN pg_class ON pg_class.oid = partrelid WHERE NOT relispartition
"""
INDEXES = """
    SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT relispartition AND relname <> 'alembic_version'
"""
COLUMNS = """
    SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
        pg_get_expr(adbin, adrelid)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0
    AND relname <> 'alembic_version'
"""


async def test_alembic_finds_nothing_to_do(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"compare_server_default": True, "include_name": include_name(connection)}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_what_alembic_does_not_compare_is_equal(database_url: str, empty_database_url: str) -> None:
    engine = create_async_engine(empty_database_url.replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()

    migrated, declared = await asyncpg.connect(database_url), await asyncpg.connect(empty_database_url)
    for catalogue, least in ((CONSTRAINTS, 100), (PARTITION_KEYS, 2), (INDEXES, 40), (COLUMNS, 150)):
        found = {tuple(row) for row in await migrated.fetch(catalogue)}
        expected = {tuple(row) for row in await declared.fetch(catalogue)}
        assert found == expected
        assert len(found) >= least
    await migrated.close()
    await declared.close()
