"""The benchmark of the reports with few agents and for a moment, and what it reads from PostgreSQL's log."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.reports import Plan, run
from tests.benchmarks.statement_log import StatementLog, Transactions

AT = "2026-11-22 12:00:00.000 UTC"
LOG = f"""{AT} [7] LOG:  duration: 0.100 ms  statement: BEGIN ISOLATION LEVEL READ COMMITTED;
{AT} [8] LOG:  duration: 9.000 ms  statement: BEGIN;
{AT} [7] LOG:  duration: 1.000 ms  bind __stmt_1__:
\t    WITH given AS (
\t        SELECT marked)
{AT} [8] LOG:  duration: 9.000 ms  execute __stmt_1__: SELECT 2026-11-22
{AT} [7] LOG:  duration: 2.000 ms  execute __stmt_1__:
\t    SELECT marked
{AT} [9] LOG:  checkpoint starting: time
{AT} [8] LOG:  duration: 9.000 ms  statement: COMMIT;
{AT} [7] LOG:  duration: 0.500 ms  statement: COMMIT;
{AT} [7] LOG:  duration: 0.500 ms  statement: BEGIN;
{AT} [7] LOG:  duration: 0.500 ms  execute __stmt_1__: SELECT marked
{AT} [7] LOG:  duration: 0.500 ms  statement: ROLLBACK;
{AT} [7] LOG:  duration: 4.000 ms  execute __stmt_2__: SELECT marked
"""


def test_a_transactions_time_is_that_of_all_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{AT} [7] LOG:  duration: 5.000 ms  statement: BEGIN; SELECT marked\n")
    log = StatementLog(path)
    with path.open("a") as appended:
        appended.write(LOG)
    assert log.transactions("marked") == Transactions(1, 0.0036)
    assert log.transactions("2026-11-22") == Transactions(1, 0.027)
    assert log.transactions("no such text") == Transactions(0, 0)
    executed = log.executed()
    assert (executed.count, round(executed.seconds, 6)) == (10, 0.0361)


@pytest.mark.rare
@pytest.mark.slow
def test_hub_and_peer_take_the_same_reports() -> None:
    output = io.StringIO()
    figures = run(Console(file=output, width=300), Plan(agents=6, rounds=1, workers=2))
    assert [figure.unit for figure in figures] == [
        *["reports/statement", "reports/s of database time"] * 2,
        "transitions without a conflict",
    ]
    assert all(figure.peer_value > 0 for figure in figures)
    assert [figure.peer_value for figure in figures if figure.unit == "reports/statement"] == [1.0, 1.0]
    in_step, conflicts = figures[0], figures[-1]
    assert in_step.value > 1
    assert conflicts.value == conflicts.peer_value > 6
    assert "hub, in step: 6 reports in" in output.getvalue()
