"""The doctor's checks of the database: each fault is made in a real one, and seen with its remedy."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from app.doctor import event_log
from app.doctor.examination import examine
from app.doctor.findings import Finding, Severity
from app.doctor.installation import Installation, machine_time
from app.domain.decisions import DecisionType
from app.services.decisions import RecordDecision, record_decision
from db.embedded import THROWAWAY_SETTINGS, EmbeddedServer
from db.migrate import head_revision, migrate
from db.session import Database
from tests.cli.installations import furnish, installation, is_fine, named
from tests.services.makers import ADMIN, SEALER, a_gate, a_running_task, an_agent, an_execution, run

DATABASE_CHECKS = [
    "database server",
    "clock",
    "durability",
    "connections",
    "idle transactions",
    "long transactions",
    "migrations",
    "server of origin",
    "sealed decisions",
    "partitions",
    "default partition",
    "executions",
    "agents",
    "quality gates",
]
OF_THE_TABLES = DATABASE_CHECKS[7:]
EXPECTED_OF_THE_TEST_SERVER = {"durability", "idle transactions"}
"""The tests' server is fast because it is not durable, and it limits no idle transactions."""

See = Callable[[str], Awaitable[Finding]]


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Installation:
    return installation(furnish(tmp_path / "data"), database_url=database_url)


@pytest.fixture
def see(here: Installation) -> See:
    async def look(name: str) -> Finding:
        return named(await examine(here), name)

    return look


@pytest.fixture
def own_folder(fast_folder: Path) -> Iterator[Path]:
    """The data folder of a server of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="hub-doc-", dir=fast_folder))
    yield furnish(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def other_session(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A session of some other program."""
    connection = await asyncpg.connect(database_url, server_settings={"application_name": "someone [else]"})
    yield connection
    await connection.close()


async def execute(database: Database, statement: str) -> None:
    await database.transact(lambda session: session.execute(text(statement)))


def assert_told(finding: Finding, severity: Severity, message: str, remedy: str) -> None:
    assert finding.severity is severity, finding
    assert message in finding.message, finding
    assert remedy in finding.remedy, finding


async def test_a_migrated_database_has_nothing_to_mend(here: Installation) -> None:
    found = [finding for finding in await examine(here) if finding.name in DATABASE_CHECKS]
    assert [finding.name for finding in found] == DATABASE_CHECKS
    assert {finding.name for finding in found if not is_fine(finding)} == EXPECTED_OF_THE_TEST_SERVER


async def test_a_stopped_embedded_database_is_told_and_not_started(own_folder: Path) -> None:
    server = EmbeddedServer.start(own_folder, settings=THROWAWAY_SETTINGS)
    server.ensure_database()
    assert is_fine(named(await examine(installation(own_folder)), "database server"))
    server.stop()
    findings = await examine(installation(own_folder))
    assert_told(named(findings, "database"), Severity.PROBLEM, "is not running", "`hub up`")
    assert [finding.name for finding in findings if finding.severity is Severity.SKIPPED][
        : len(DATABASE_CHECKS)
    ] == DATABASE_CHECKS
    assert not (own_folder / "pg" / "postmaster.pid").exists()


async def test_a_folder_without_a_database_stays_as_it_is(tmp_path: Path) -> None:
    findings = await examine(installation(tmp_path / "none"))
    assert named(findings, "database").severity is Severity.PROBLEM
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://hub:pass-word@127.0.0.1:9/hub", "does not answer"),
        ("nonsense pass-word", "is not an address"),
        ("postgresql://hub:pass-word@127.0.0.1:no/hub", "is not an address"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_told_without_its_password(
    here: Installation, url: str, text: str
) -> None:
    findings = await examine(replace(here, database_url=url))
    assert_told(named(findings, "database"), Severity.PROBLEM, text, "postgresql://USER:PASSWORD@HOST")
    assert "pass-word" not in str(findings)


async def test_a_database_that_is_not_there_is_a_problem(here: Installation, postgres: EmbeddedServer) -> None:
    finding = named(await examine(replace(here, database_url=postgres.url("nobody"))), "database")
    assert_told(finding, Severity.PROBLEM, "refuses the connection", "HUB_DATABASE_URL")


@pytest.mark.parametrize(
    ("statement", "message", "remedy"),
    [
        ("DROP TABLE alembic_version", "was never migrated", "`hub migrate`"),
        ("UPDATE alembic_version SET version_num = '0001'", "is at 0001, older than", "`hub migrate`"),
        ("UPDATE alembic_version SET version_num = '9999'", "a newer hub migrated it", "Update this installation"),
    ],
)
async def test_a_database_of_another_version_is_a_problem(
    here: Installation, database: Database, statement: str, message: str, remedy: str
) -> None:
    assert head_revision() not in ("0001", "9999")
    await execute(database, statement)
    findings = await examine(here)
    assert_told(named(findings, "migrations"), Severity.PROBLEM, message, remedy)
    assert [finding.name for finding in findings if "not at this version" in finding.message] == OF_THE_TABLES


@pytest.mark.parametrize(
    ("ahead", "severity", "message"),
    [
        (timedelta(hours=1), Severity.PROBLEM, "seconds ahead of the database's"),
        (timedelta(hours=-1), Severity.PROBLEM, "seconds behind the database's"),
        (timedelta(seconds=20), Severity.WARNING, "seconds ahead of the database's"),
    ],
)
async def test_a_clock_that_goes_wrong_is_told(
    here: Installation, ahead: timedelta, severity: Severity, message: str
) -> None:
    finding = named(await examine(replace(here, clock=lambda: machine_time() + ahead)), "clock")
    assert_told(finding, severity, message, "NTP")


async def test_settings_that_lose_data_are_told(own_folder: Path, see: See) -> None:
    assert_told(await see("durability"), Severity.PROBLEM, "fsync and full_page_writes off", "ALTER SYSTEM SET fsync")
    server = EmbeddedServer.start(own_folder, settings={"synchronous_commit": "off"})
    server.ensure_database()
    finding = named(await examine(installation(own_folder)), "durability")
    server.stop()
    assert_told(finding, Severity.WARNING, "synchronous_commit is off", "synchronous_commit = on")


async def test_too_few_connections_are_told(
    here: Installation, other_session: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    finding = named(await examine(replace(here, connections=100_000)), "connections")
    assert_told(finding, Severity.PROBLEM, "one process of the hub takes up to 100000", "Raise max_connections")


async def test_connections_that_run_out_are_told(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.doctor.server.MOST_IN_USE", 0.0)
    finding = named(await examine(here), "connections")
    assert_told(finding, Severity.WARNING, "in use", "before you start more processes")


async def test_a_server_without_a_limit_for_idle_transactions_is_told(
    here: Installation, database: Database, see: See
) -> None:
    assert_told(await see("idle transactions"), Severity.WARNING, "for ever", "idle_in_transaction_session_timeout")
    name = here.database_url.rpartition("@/")[2].partition("?")[0] if here.database_url else ""
    await execute(database, f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '60s'")
    assert (await see("idle transactions")).message == "The server ends them after 60 seconds."


async def test_a_long_transaction_is_told_by_pid_and_never_by_its_statement(
    other_session: "asyncpg.Connection[asyncpg.Record]", see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "LONG", 0.0)
    await other_session.execute("BEGIN")
    await other_session.fetchval("SELECT 'top-secret', pg_current_xact_id()::text")
    pid = other_session.get_server_pid()
    finding = await see("long transactions")
    assert_told(finding, Severity.WARNING, f"pid {pid} (someone [else], database test_", f"pg_terminate_backend({pid})")
    assert "idle in transaction" in finding.message
    assert "secret" not in str(finding)
    monkeypatch.setattr(event_log, "FAR_TOO_LONG", 0.0)
    assert (await see("long transactions")).severity is Severity.PROBLEM
    await other_session.execute("ROLLBACK")
    assert is_fine(await see("long transactions"))


async def test_a_transaction_that_only_reads_holds_up_nothing(
    other_session: "asyncpg.Connection[asyncpg.Record]", see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "LONG", 0.0)
    await other_session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await other_session.fetchval("SELECT count(*) FROM agents")
    assert is_fine(await see("long transactions"))


async def test_a_prepared_transaction_holds_up_the_log_too(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "LONG", 0.0)
    server = EmbeddedServer.start(own_folder, settings={**THROWAWAY_SETTINGS, "max_prepared_transactions": "1"})
    server.ensure_database()
    session = await asyncpg.connect(server.url())
    await session.execute("BEGIN; CREATE TABLE t (a int); PREPARE TRANSACTION 'secret'")
    finding = named(await examine(installation(own_folder)), "long transactions")
    await session.execute("ROLLBACK PREPARED 'secret'")
    after = named(await examine(installation(own_folder)), "long transactions")
    await session.close()
    server.stop()
    assert_told(finding, Severity.PROBLEM, "1 prepared for a two-phase commit", "ROLLBACK PREPARED")
    assert is_fine(after)


async def test_a_role_that_may_see_little_is_told_what_it_lacks(
    here: Installation, database: Database, postgres: EmbeddedServer
) -> None:
    await execute(database, "CREATE ROLE onlooker LOGIN")
    await execute(database, "GRANT SELECT ON alembic_version TO onlooker")
    url = here.database_url.replace("postgres@", "onlooker@") if here.database_url else ""
    findings = await examine(replace(here, database_url=url))
    await execute(database, "DROP OWNED BY onlooker")
    await execute(database, "DROP ROLE onlooker")
    assert_told(named(findings, "long transactions"), Severity.WARNING, "not told", "GRANT pg_read_all_stats")
    finding = named(findings, "executions")
    assert_told(finding, Severity.PROBLEM, "It could not be checked", "read the hub's tables")


async def test_a_database_that_was_restored_and_not_taken_over_is_a_problem(
    here: Installation, database: Database, see: See
) -> None:
    assert is_fine(await see("server of origin"))
    await execute(database, "UPDATE installation SET system_identifier = 1")
    assert_told(await see("server of origin"), Severity.PROBLEM, "restored from another server", "`hub migrate`")
    await migrate(here.database_url or "")
    assert is_fine(await see("server of origin"))


async def test_missing_partitions_are_told(here: Installation, database: Database, see: See) -> None:
    async with database.snapshot() as session:
        now: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    later = (now.astimezone(UTC) + timedelta(days=3)).strftime("%Y%m%d")
    await execute(database, f"DROP TABLE event_log_report_{later}")
    assert_told(
        await see("partitions"),
        Severity.WARNING,
        f"time to come: event_log_report_{later}.",
        "`hub migrate` makes them",
    )
    await execute(database, f"DROP TABLE event_log_report_{now.astimezone(UTC):%Y%m%d}")
    finding = await see("partitions")
    assert_told(
        finding, Severity.PROBLEM, f"writes fail: event_log_report_{now.astimezone(UTC):%Y%m%d}", "`hub migrate`"
    )


async def test_rows_in_a_default_partition_are_told(database: Database, see: See) -> None:
    await execute(database, "CREATE TABLE stray PARTITION OF resource_metrics DEFAULT")
    assert is_fine(await see("default partition"))
    await execute(
        database,
        "INSERT INTO resource_metrics (metric_id, measurement_time, created_at)"
        " VALUES (gen_random_uuid(), '2020-01-01Z', '2020-01-01Z')",
    )
    assert_told(await see("default partition"), Severity.PROBLEM, "stray hold rows", "DETACH it")


async def test_a_master_key_that_does_not_fit_is_told(here: Installation, database: Database, see: See) -> None:
    decision = RecordDecision(DecisionType.ESCALATION, {"a": 1}, "For reasons.", "Done.", 7)
    await run(database, record_decision, ADMIN, decision, SEALER)
    assert (await see("sealed decisions")).message == "The master key is the one that they are sealed with."
    finding = named(await examine(replace(here, master_key="ab" * 32)), "sealed decisions")
    assert_told(finding, Severity.PROBLEM, "sealed with another master key", "HUB_MASTER_KEY")
    rotating = replace(here, master_key="ab" * 32, master_key_previous=here.master_key_file.read_text().strip())
    assert is_fine(named(await examine(rotating), "sealed decisions"))
    here.master_key_file.unlink()
    assert_told(await see("sealed decisions"), Severity.PROBLEM, "no master key", "from a backup")


async def test_an_execution_that_nobody_takes_up_is_told(database: Database, see: See) -> None:
    execution = await an_execution(database)
    assert is_fine(await see("executions"))
    await execute(database, "UPDATE workflow_executions SET last_activity = now() - interval '61 seconds'")
    finding = await see("executions")
    assert_told(finding, Severity.PROBLEM, f"1 could go on and no worker takes them up; plain {execution.execution_id}",
                "Start a worker")  # fmt: skip
    await execute(
        database,
        "UPDATE workflow_executions SET lease_owner = 'w', lease_until = now() + interval '9 seconds'",
    )
    assert is_fine(await see("executions"))


async def test_a_silent_agent_with_tasks_is_told(database: Database, see: See) -> None:
    await an_agent(database)
    await a_running_task(database)
    assert is_fine(await see("agents"))
    await execute(database, "UPDATE agent_reports SET last_activity = now() - interval '31 seconds'")
    remedy = "hub agents set-status james-dev offline"
    assert_told(await see("agents"), Severity.WARNING, "1 hold tasks and are silent: james-dev", remedy)


async def test_a_gate_that_waits_for_days_is_told(database: Database, see: See) -> None:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id, approval_status="in_review")
    assert is_fine(await see("quality gates"))
    await execute(database, "UPDATE quality_gates SET updated_at = now() - interval '73 hours'")
    remedy = f"hub gate approve|reject|revise {gate.gate_id}"
    assert_told(await see("quality gates"), Severity.WARNING, "the longest, Review, for 3 days", remedy)


async def test_the_look_itself_writes_nothing(here: Installation, database: Database) -> None:
    before = await database.fetch_value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    await examine(here)
    assert await database.fetch_value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text") == before
