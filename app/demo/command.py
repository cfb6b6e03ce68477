"""`hub demo`: a real audit of a source tree by four agent processes, from the PM's decision to the final approval."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.client.connection import HubClient
from app.client.options import client_of, ending
from app.client.output import print_json
from app.demo.figures import Figures
from app.demo.session import Demo, DemoOptions
from app.demo.show import Progress, print_figures
from app.demo.tree import python_files
from app.domain.workflows import ExecutionStatus

OWN_TREE = Path(__file__).resolve().parents[2]
OWN_PACKAGES = ("app", "db", "graphql_schema")


def demo(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="The tree to audit; the hub's own packages if unset."),
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Give the final approval without asking.")] = False,
    pm_command: Annotated[
        str | None, typer.Option(help="The PM's command in place of the fixed policy, e.g. Claude Code.")
    ] = None,
    agent_command: Annotated[str | None, typer.Option(help="The auditors' command in place of ruff, mypy and ast.")] = (
        None
    ),
    timeout: Annotated[float, typer.Option(min=1, help="Seconds it may take, your wait left out.")] = 900,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON; progress on stderr.")] = False,
) -> None:
    """Audit a source tree with four agent processes: john-pm decides, three auditors measure, you approve.

    Exit code 0 when the audit was approved, 1 when it was rejected or did not complete.
    """
    options = DemoOptions(
        path=path.resolve() if path is not None else OWN_TREE,
        include=() if path is not None else OWN_PACKAGES,
        approve=approve,
        pm_command=pm_command,
        agent_command=agent_command,
        seconds=timeout,
    )
    if not python_files(options.path, options.include):
        raise typer.BadParameter(f"there are no Python files below {options.path}", param_hint="--path")
    console = Console(stderr=as_json, highlight=False)
    if not path:
        console.print(f"Auditing the hub itself: {', '.join(OWN_PACKAGES)} in {OWN_TREE}", soft_wrap=True)
    with ending():
        figures = asyncio.run(_run(client_of(ctx), options, console))
    if as_json:
        print_json(figures)
    else:
        print_figures(console, figures)
    if figures["execution"]["status"] != ExecutionStatus.COMPLETED.name:
        raise typer.Exit(1)


async def _run(client: HubClient, options: DemoOptions, console: Console) -> Figures:
    main = asyncio.current_task()
    if main is not None:
        # a demo that is told to end cleans up as after Ctrl-C
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    async with client:
        with Progress(console) as progress:
            return await Demo(client, options, progress).run()
