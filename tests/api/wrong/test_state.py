"""The state of a database tells every row that comes, changes or goes, in whatever table."""

from sqlalchemy import delete, insert, text, update

from db.session import Database
from db.tables.agents import agents
from db.tables.installation import installation
from db.tables.registry import metadata
from tests.api.wrong.state import changed_tables, state_of
from tests.db.test_checks import a_row


async def test_a_row_more_in_any_table_is_seen(database: Database) -> None:
    before = await state_of(database)
    assert await state_of(database) == before
    for table in metadata.sorted_tables:
        async with database.engine.begin() as connection:
            # foreign keys are not at issue here; this switches them off
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            if table is installation:  # its one row stands already
                await connection.execute(delete(table))
            await connection.execute(insert(table).values(**a_row(table)))
        after = await state_of(database)
        assert changed_tables(before, after) == [table.name]
        before = after


async def test_a_changed_value_and_a_row_in_place_of_another_are_seen(database: Database) -> None:
    async def carried_out(*statements: object) -> list[str]:
        before = await state_of(database)
        async with database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(statement)  # type: ignore[call-overload]
        return changed_tables(before, await state_of(database))

    row = a_row(agents)
    assert await carried_out(insert(agents).values(**row)) == ["agents"]
    assert await carried_out(update(agents).values(agent_name="y")) == ["agents"]
    assert await carried_out(update(agents).values(agent_name="y")) == []
    another = insert(agents).values(**{**row, "agent_id": "jane-dev"})
    assert await carried_out(delete(agents), another) == ["agents"]
