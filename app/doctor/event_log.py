"""Checks of the event log and of partitions: what holds up pushes, and whether every row has a place to go."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.doctor.findings import Finding, fine, problem, warning
from app.doctor.installation import Installation
from db.queries.diagnosis import (
    filled_default_partitions,
    long_transactions,
    missing_partitions,
    prepared_transactions,
    sees_all_sessions,
)

LONG = 2.0
"""Seconds after which a transaction is long; the hub's own end within a quarter of one."""
FAR_TOO_LONG = 30.0
NAMED = 3
"""How many are named of what there may be many of."""


async def transactions(_installation: Installation, connection: AsyncConnection) -> Finding:
    """No transaction of the server holds back the order of the event log, and with it every push."""
    name = "long transactions"
    found = await long_transactions(connection, LONG)
    if found:
        pids = ", ".join(str(row.pid) for row in found[:NAMED])
        told = "; ".join(
            f"pid {row.pid} ({row.application_name or 'no name'}, database {row.datname}) for {row.seconds:,.0f} s, "
            f"{row.state}"
            for row in found[:NAMED]
        )
        tell = problem if found[0].seconds >= FAR_TOO_LONG else warning
        return tell(
            name,
            f"{len(found)} hold back the event log, so that nothing is pushed: {told}.",
            f"Let the program end it, or end it yourself: SELECT pg_terminate_backend({found[0].pid})"
            f"{f' (all: {pids})' if len(found) > 1 else ''}. It is rolled back.",
        )
    return await _prepared(name, connection)


async def _prepared(name: str, connection: AsyncConnection) -> Finding:
    number, seconds = await prepared_transactions(connection)
    if number and seconds > LONG:
        return problem(
            name,
            f"{number} prepared for a two-phase commit, the oldest for {seconds:,.0f} s, hold back the event log.",
            "Find them in pg_prepared_xacts, and COMMIT PREPARED or ROLLBACK PREPARED each.",
        )
    if not await sees_all_sessions(connection):
        return warning(
            name,
            "The hub's database role is not told what sessions of other roles do.",
            "GRANT pg_read_all_stats to the role of HUB_DATABASE_URL, to have them checked.",
        )
    return fine(name, f"No transaction that writes is older than {LONG:g} seconds.")


async def partitions(_installation: Installation, connection: AsyncConnection) -> Finding:
    """The partitions of now and of the weeks to come are there."""
    now, later = await missing_partitions(connection)
    remedy = "`hub migrate` makes them; a running hub does so every hour. Its log tells why it could not."
    if now:
        return problem("partitions", f"Missing, so that writes fail: {_some(now)}.", remedy)
    if later:
        return warning("partitions", f"Missing for the time to come: {_some(later)}.", remedy)
    return fine("partitions", "Those of now and of the weeks to come are there.")


async def default_partitions(_installation: Installation, connection: AsyncConnection) -> Finding:
    """No rows lie in a default partition, where retention does not find them, and new partitions collide with them."""
    filled = await filled_default_partitions(connection)
    if filled:
        return problem(
            "default partition",
            f"{_some(filled)} hold rows that found no partition of their own.",
            "DETACH it, run `hub migrate`, INSERT its rows into the parent table again, and DROP it.",
        )
    return fine("default partition", "No rows lie outside of the partitions made for them.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


CHECKS = (partitions, default_partitions)
