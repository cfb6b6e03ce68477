"""A planned statement as a pgbench script: arguments written in, nothing misread, and it runs."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from db.embedded import EmbeddedServer
from tests.benchmarks import pgbench


def test_arguments_are_written_into_the_statement() -> None:
    statement = "SELECT $2::int + $10 WHERE $1 = 'it' -- $3"
    arguments = ["it's", 7, *[None] * 7, Decimal("1.5")]
    assert pgbench.script(statement, arguments) == "SELECT 7::int + 1.5 WHERE 'it''s' = 'it' -- NULL;\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (["a", None], "ARRAY['a', NULL]"),
        (UUID(int=1), "'00000000-0000-0000-0000-000000000001'"),
        (datetime(2026, 11, 1, tzinfo=UTC), "'2026-11-01 00:00:00+00:00'"),
    ],
)
def test_literals(value: Any, written: str) -> None:
    assert pgbench.literal(value) == written


def test_what_pgbench_would_misread_is_refused() -> None:
    assert pgbench.script("SELECT 'a:' || 1::text || '12:30'", []).startswith("SELECT")
    with pytest.raises(pgbench.PgbenchError, match="misread"):
        pgbench.script("SELECT ':name'", [])
    with pytest.raises(pgbench.PgbenchError, match="misread"):
        pgbench.script("SELECT ';'", [])
    with pytest.raises(pgbench.PgbenchError, match="no literal"):
        pgbench.script("SELECT $1", [b"bytes"])


def test_a_script_runs_prepared(postgres: EmbeddedServer, tmp_path: Path) -> None:
    file = tmp_path / "settings.sql"
    # it fails unless the session has the hub's settings
    file.write_text("SELECT 1 / (current_setting('jit') = 'off')::int;\n")
    postgres.ensure_database()
    sample = pgbench.measure(postgres, file, clients=2, seconds=1)
    assert sample.rate > 10
    assert sample.database_cpu is not None
    assert sample.client_cpu is not None
    assert sample.database_cpu > 0
    assert sample.client_cpu > 0


def test_a_script_that_fails_is_an_error(postgres: EmbeddedServer, tmp_path: Path) -> None:
    file = tmp_path / "wrong.sql"
    file.write_text("SELECT 1 / 0;\n")
    postgres.ensure_database()
    with pytest.raises(pgbench.PgbenchError, match="division by zero"):
        pgbench.measure(postgres, file, clients=1, seconds=1)
