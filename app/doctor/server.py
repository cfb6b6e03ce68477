"""Checks of the database's server: its programs, whether it answers, its clock and its settings."""

import subprocess
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.doctor.findings import Finding, fine, problem, warning
from app.doctor.installation import Installation
from db.embedded import SHIPPED_BINARIES
from db.migrate import OLDEST_SERVER
from db.queries.diagnosis import clock, connections_in_use, settings_of

PROGRAM_SECONDS = 20
SKEW_NOTED = timedelta(seconds=2)
SKEW_BAD = timedelta(seconds=60)
MOST_IN_USE = 0.8
"""The part of all connections that may be in use without a warning."""


def embedded_binaries(installation: Installation) -> Finding:
    """The embedded PostgreSQL's programs are there and run."""
    name = "embedded PostgreSQL"
    if not installation.is_embedded:
        return fine(name, "Not used: HUB_DATABASE_URL names a server.")
    remedy = "Install the hub anew (`make up` does), or name a server in HUB_DATABASE_URL."
    program = SHIPPED_BINARIES / "postgres"
    try:
        told = subprocess.run(  # noqa: S603
            [program, "--version"], check=True, capture_output=True, text=True, timeout=PROGRAM_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return problem(name, f"{program} does not run: {type(error).__name__}.", remedy)
    return fine(name, f"{told.strip()} in {SHIPPED_BINARIES}.")


async def server_version(_installation: Installation, connection: AsyncConnection) -> Finding:
    """The server is new enough."""
    name = "database server"
    settings = await settings_of(connection, "server_version", "server_version_num")
    message = f"PostgreSQL {settings['server_version']} answers."
    if int(settings["server_version_num"]) // 10_000 < OLDEST_SERVER:
        return problem(
            name, message, f"Move the database to PostgreSQL {OLDEST_SERVER} or newer (pg_dump, pg_restore)."
        )
    return fine(name, message)


async def clock_skew(installation: Installation, connection: AsyncConnection) -> Finding:
    """This machine and the database agree on the time, to within the way there and back."""
    before = installation.clock()
    theirs = await clock(connection)
    after = installation.clock()
    skew = max(theirs - after, before - theirs, timedelta(0))
    if skew < SKEW_NOTED:
        return fine("clock", "This machine's clock and the database's agree.")
    way = "ahead of" if before > theirs else "behind"
    message = f"This machine's clock is {skew.total_seconds():,.0f} seconds {way} the database's."
    remedy = "Let both set their clocks by NTP; agents' observations are ordered by their machines' clocks."
    if skew >= SKEW_BAD:
        return problem("clock", message + " Measurements and observations come into disorder or are refused.", remedy)
    return warning("clock", message, remedy)


async def durability(_installation: Installation, connection: AsyncConnection) -> Finding:
    """What was answered survives a crash of the machine."""
    name = "durability"
    settings = await settings_of(connection, "fsync", "full_page_writes", "synchronous_commit")
    broken = [setting for setting in ("fsync", "full_page_writes") if settings[setting] == "off"]
    if broken:
        return problem(
            name,
            f"{' and '.join(broken)} off: after a power cut the database may be beyond repair.",
            f"ALTER SYSTEM SET {broken[0]} = on; then SELECT pg_reload_conf(). Embedded: look for it in "
            "pg/postgresql.auto.conf of the data folder.",
        )
    if settings["synchronous_commit"] == "off":
        return warning(
            name,
            "synchronous_commit is off: changes that were answered for may be gone after a crash.",
            "ALTER SYSTEM SET synchronous_commit = on; then SELECT pg_reload_conf().",
        )
    return fine(name, "What is committed is on the disk.")


async def connections(installation: Installation, connection: AsyncConnection) -> Finding:
    """There are connections enough for this process's pools, and some are left."""
    name = "connections"
    names = ("max_connections", "superuser_reserved_connections", "reserved_connections")
    settings = await settings_of(connection, *names)
    usable = int(settings[names[0]]) - sum(int(settings.get(reserved, 0)) for reserved in names[1:])
    used = await connections_in_use(connection)
    message = f"{used} of {usable} in use; one process of the hub takes up to {installation.connections}."
    if usable < installation.connections:
        return problem(
            name,
            message,
            "Raise max_connections of the server and restart it, or lower HUB_POOL_SIZE and HUB_READ_POOL_SIZE.",
        )
    if used > usable * MOST_IN_USE:
        return warning(
            name,
            message,
            "Raise max_connections before you start more processes, or lower HUB_POOL_SIZE and HUB_READ_POOL_SIZE.",
        )
    return fine(name, message)


async def idle_transactions(installation: Installation, connection: AsyncConnection) -> Finding:
    """A client that forgets a transaction is cut off before it holds up the event log for long."""
    name, setting = "idle transactions", "idle_in_transaction_session_timeout"
    limit = int((await settings_of(connection, setting))[setting])
    if installation.is_embedded:
        return fine(name, "Only the hub uses the embedded server, and it limits its own sessions to ten seconds.")
    if limit == 0:
        return warning(
            name,
            "Sessions of other programs may leave a transaction open for ever, and all pushes of the hub wait for it.",
            f"ALTER SYSTEM SET {setting} = '60s'; then SELECT pg_reload_conf().",
        )
    return fine(name, f"The server ends them after {limit / 1000:g} seconds.")


CHECKS = (server_version, clock_skew, durability, connections, idle_transactions)
