"""The examination: all checks in the order in which one leans on another. It changes nothing."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.doctor import event_log, folder, machine, schema, server, work
from app.doctor.api import examine_api
from app.doctor.findings import Finding, Severity, problem, skipped
from app.doctor.installation import Installation
from app.domain.errors import HubError
from db.embedded import EmbeddedServer
from db.failures import DRIVER_ERRORS, translate
from db.queries.diagnosis import observing

DatabaseCheck = Callable[[Installation, AsyncConnection], Awaitable[Finding]]

OF_THE_SERVER: Sequence[DatabaseCheck] = (*server.CHECKS, event_log.transactions)
OF_THE_TABLES: Sequence[DatabaseCheck] = (*schema.CHECKS, *event_log.CHECKS, *work.CHECKS)
NOT_RUNNING = "the database does not answer"
NOT_MIGRATED = "the database is not at this version"


async def examine(installation: Installation) -> list[Finding]:
    """Everything that there is to say of the installation."""
    local = [check(installation) for check in (*machine.CHECKS, *folder.CHECKS, server.embedded_binaries)]
    return [*local, *await _examine_database(installation), *await examine_api(installation)]


async def _examine_database(installation: Installation) -> list[Finding]:
    if not _is_address(installation.database_url):
        return [problem("database", "HUB_DATABASE_URL is not an address.", _ADDRESS), *_unasked()]
    try:
        url = _address(installation)
        if url is None:
            return [_not_running(installation), *_unasked()]
        async with observing(url) as connection:
            return await _examine_tables(installation, connection)
    except (HubError, *DRIVER_ERRORS) as error:
        return [_unreachable(installation, error), *_unasked()]


async def _examine_tables(installation: Installation, connection: AsyncConnection) -> list[Finding]:
    found = [await _checked(check, installation, connection) for check in OF_THE_SERVER]
    state = await _checked(schema.migrated, installation, connection)
    if state.severity is not Severity.OK:
        return [*found, state, *(skipped(_name(check), NOT_MIGRATED) for check in OF_THE_TABLES)]
    return [*found, state, *[await _checked(check, installation, connection) for check in OF_THE_TABLES]]


async def _checked(check: DatabaseCheck, installation: Installation, connection: AsyncConnection) -> Finding:
    """What the check says, or that it could not be made, as with a role that may not read something."""
    try:
        return await check(installation, connection)
    except (HubError, *DRIVER_ERRORS) as error:
        return problem(
            _name(check),
            f"It could not be checked: {_told(error)}",
            "Let the database's role read the hub's tables and pg_stat_activity.",
        )


def _is_address(url: str | None) -> bool:
    try:
        return url is None or make_url(url).host is not None or "host" in make_url(url).query
    except (ArgumentError, ValueError):
        return False


def _address(installation: Installation) -> str | None:
    """The database's address; None when the embedded server does not run. It is not started."""
    if installation.database_url is not None:
        return installation.database_url
    found = EmbeddedServer(installation.data_dir.expanduser().resolve(), {})
    return found.url() if found.is_running else None


def _not_running(installation: Installation) -> Finding:
    return problem(
        "database",
        f"The embedded database in {installation.data_dir} is not running.",
        "Start the hub with `hub up`, which starts it; or name another server in HUB_DATABASE_URL.",
    )


def _unreachable(installation: Installation, error: Exception) -> Finding:
    remedy = _ADDRESS if installation.database_url is not None else "Look at the log in pg/log of the data folder."
    return problem("database", _told(error), remedy)


def _told(error: Exception) -> str:
    """What is known of an error, without the driver's words, in which there may be values."""
    known = translate(error)
    return known.message if isinstance(known, HubError) else f"{type(error).__name__}."


def _unasked() -> list[Finding]:
    return [skipped(_name(check), NOT_RUNNING) for check in (*OF_THE_SERVER, schema.migrated, *OF_THE_TABLES)]


def _name(check: DatabaseCheck) -> str:
    return NAMES[check]


NAMES: dict[DatabaseCheck, str] = {
    server.server_version: "database server",
    server.clock_skew: "clock",
    server.durability: "durability",
    server.connections: "connections",
    server.idle_transactions: "idle transactions",
    event_log.transactions: "long transactions",
    schema.migrated: "migrations",
    schema.taken_over: "server of origin",
    schema.key_fits: "sealed decisions",
    event_log.partitions: "partitions",
    event_log.default_partitions: "default partition",
    work.executions_taken_up: "executions",
    work.agents_at_work: "agents",
    work.gates_decided: "quality gates",
}
"""What each check is called where it could not be made."""

_ADDRESS = (
    "HUB_DATABASE_URL must be such as postgresql://USER:PASSWORD@HOST:5432/DATABASE, and that server must run and "
    "accept connections from here."
)
