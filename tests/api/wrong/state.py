"""What a database holds, in one value: a request left a trace if and only if that value changed."""

from db.session import Database
from db.tables.registry import metadata

ROWS = "(SELECT concat('{0} ', count(*), ' ', sum(hashtextextended({0}::text, 0))) FROM {0})"
ALL_ROWS = f"SELECT concat_ws(E'\\n', {', '.join(ROWS.format(table.name) for table in metadata.sorted_tables)})"


async def state_of(database: Database) -> str:
    """For each table of the hub the count of its rows and a sum of hashes of all their values; none is left out."""
    found: str = await database.fetch_value(ALL_ROWS)
    return found


def changed_tables(before: str, after: str) -> list[str]:
    """The tables whose rows differ."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [was.split()[0] for was, is_now in pairs if was != is_now]
