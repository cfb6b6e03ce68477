"""`python -m tests.engine.chaos [--seed N] [--runs N]`: the fault campaign; exits with 1 when anything is wrong."""

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from db.embedded import EmbeddedServer
from db.session import Database
from tests.engine.chaos.rounds import LEASE, Outcome, Setting, play_round, told
from tests.engine.chaos.stage import TEMPLATE, forking, server
from tests.engine.processes import Workers

A_ROUND = 20
"""Executions that share workers and faults."""


def main() -> None:
    """Play rounds until so many executions have run."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further round adds one")
    parser.add_argument("--runs", type=int, default=500, help=f"executions in all, {A_ROUND} a round")
    parser.add_argument("--lease", type=float, default=LEASE, help="seconds of a worker's lease")
    given = parser.parse_args()
    # a pool says at length that the server is away, which it is meant to be
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False)
    sizes = [min(A_ROUND, given.runs - begun) for begun in range(0, given.runs, A_ROUND)]
    settings = [Setting(given.seed + number, runs, given.lease) for number, runs in enumerate(sizes)]
    with server() as postgres, forking() as parent:
        outcomes = campaign(console, settings, postgres, parent)
    show(console, outcomes)
    sys.exit(any(outcome.failed for outcome in outcomes))


def campaign(
    console: Console, settings: list[Setting], postgres: EmbeddedServer, parent: "subprocess.Popen[str]"
) -> list[Outcome]:
    """Play the rounds one after the other; what is wrong is shown as soon as it is found."""
    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("executions", total=sum(setting.runs for setting in settings))
        for setting in settings:
            outcome = asyncio.run(play(setting, postgres, parent))
            outcomes.append(outcome)
            progress.advance(bar, setting.runs)
            if outcome.violations or outcome.late:
                progress.console.print(told(outcome), markup=False, soft_wrap=True)
    return outcomes


async def play(setting: Setting, postgres: EmbeddedServer, parent: "subprocess.Popen[str]") -> Outcome:
    """One round in a database of its own; its log is kept where something is wrong."""
    name = f"chaos_{setting.seed}"
    postgres.create_database(name, TEMPLATE)
    database = Database(postgres.url(name), pool_size=10, read_pool_size=1)
    await database.open()
    log = Path(tempfile.gettempdir()) / f"hub-chaos-{setting.seed}.log"
    log.unlink(missing_ok=True)
    workers = Workers(parent, database.url, log)
    try:
        outcome = await play_round(setting, database, workers, postgres)
    finally:
        workers.kill_all()
        await database.close()
        postgres.drop_database(name)
    if outcome.violations or outcome.late:
        with log.open("a", encoding="utf-8") as file:
            file.write("\n".join([told(outcome), "unfinished after two lease periods:", *outcome.unfinished]))
        outcome.log = log
    else:
        log.unlink(missing_ok=True)
    return outcome


def show(console: Console, outcomes: list[Outcome]) -> None:
    """The campaign in figures."""
    faults: Counter[str] = sum((outcome.faults for outcome in outcomes), Counter())
    statuses: Counter[str] = sum((outcome.statuses for outcome in outcomes), Counter())
    table = Table("fault", "times")
    for kind, times in sorted(faults.items()):
        table.add_row(kind, str(times))
    console.print(table)
    ends, limit = [outcome.ended_after for outcome in outcomes], outcomes[0].limit
    console.print(
        f"{sum(statuses.values())} executions ({', '.join(f'{n} {status}' for status, n in sorted(statuses.items()))}) "
        f"in {len(outcomes)} rounds, {sum(o.steps for o in outcomes)} steps, {sum(o.tasks for o in outcomes)} tasks, "
        f"{sum(o.events for o in outcomes)} events, {sum(faults.values())} faults in "
        f"{sum(o.seconds for o in outcomes):.0f} s.\n"
        f"Seconds from the last fault to the end: median {median(ends):.1f}, most {max(ends):.1f} of {limit:.1f}.\n"
        f"Violations: {sum(len(outcome.violations) for outcome in outcomes)}; "
        f"rounds that ended late: {sum(outcome.late for outcome in outcomes)}, "
        f"of these on a busy machine: {sum(outcome.late and not outcome.failed for outcome in outcomes)}."
    )


if __name__ == "__main__":
    main()
