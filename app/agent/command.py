"""`hub agent run`: one agent process."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer
from structlog.typing import FilteringBoundLogger

from app.agent.process import GRACE_SECONDS
from app.agent.runner import DRAIN_SECONDS, AgentOptions, Runner
from app.agent.work import Interrupted
from app.client.connection import HubClient
from app.client.options import INTERRUPTED, client_of, ending
from app.domain.agents import AgentRole
from app.domain.model_assignments import Provider

app = typer.Typer(no_args_is_help=True, help="Agents: processes that claim tasks and run a command for each.")

LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@app.callback()
def agent() -> None:
    """Agents: processes that claim tasks and run a command for each."""


@app.command()
def run(
    ctx: typer.Context,
    agent_id: Annotated[str, typer.Option("--id", help="Who it is: lower-case words joined by hyphens (james-dev).")],
    role: Annotated[AgentRole, typer.Option(help="Its specialisation; `pm` serves decisions and gate verdicts.")],
    command: Annotated[
        str,
        typer.Option(
            help="What a task is given to: run by /bin/sh, the task as JSON on standard input, the answer on standard "
            "output, progress on standard error. Claude Code: claude -p --output-format json '…'."
        ),
    ],
    capability: Annotated[list[str] | None, typer.Option(help="What it can do; may be given several times.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name for people; the id when left out.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many tasks it works on at once.")] = 1,
    provider: Annotated[Provider, typer.Option(help="Who serves the command's model.")] = Provider.CLAUDE_CODE,
    model: Annotated[
        str | None,
        typer.Option(help="The command's model, recorded as a model assignment; Claude's JSON tells it by itself."),
    ] = None,
    subscription: Annotated[
        bool, typer.Option("--subscription", help="A subscription covers the calls: their cost is recorded as 0.")
    ] = False,
    task_timeout: Annotated[
        float,
        typer.Option(
            "--task-timeout", "--timeout", min=1, help="Seconds after which a run of the command is ended, at most."
        ),
    ] = 3_600,
    grace: Annotated[
        float, typer.Option(min=0.1, max=600, help="Seconds that a command has between SIGTERM and SIGKILL.")
    ] = GRACE_SECONDS,
    drain: Annotated[
        float,
        typer.Option(min=0, max=86_400, help="Seconds that tasks may still take to end when the agent is stopped."),
    ] = DRAIN_SECONDS,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            help="Each attempt at a task gets a folder of its own in it; what is at hand is noted there too. "
            "Left out: a folder of the agent's in the user's state folder.",
            file_okay=False,
        ),
    ] = None,
    run_in: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Run all tasks in this folder (a checkout, for instance) instead."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folders of tasks that succeeded; of others they are kept anyway.")
    ] = False,
    interrupted: Annotated[
        Interrupted,
        typer.Option(help="What becomes of a task whose command ran when the agent was killed: given back, or failed."),
    ] = Interrupted.RELEASE,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop when standard input ends, as when the parent process has died.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error; log lines go to standard error.")] = (
        "info"
    ),
) -> None:
    """Run an agent until SIGTERM or Ctrl-C: it then ends its tasks or gives them back, and goes offline."""
    if log_level not in LOG_LEVELS:
        raise typer.BadParameter(f"log level must be one of {', '.join(LOG_LEVELS)}")
    options = AgentOptions(
        agent_id=agent_id,
        role=role,
        command=command,
        capabilities=tuple(capability or ()),
        name=name,
        concurrency=concurrency,
        provider=provider,
        model=model,
        subscription=subscription,
        seconds=task_timeout,
        grace=grace,
        drain=drain,
        work_dir=(work_dir or _state_folder(agent_id)).resolve(),
        run_in=run_in.resolve() if run_in is not None else None,
        keep=keep,
        interrupted=interrupted,
    )
    log = _logger(log_level).bind(agent=agent_id)
    with ending():
        asyncio.run(_serve(options, client_of(ctx), log, until_eof=until_eof))


def _state_folder(agent_id: str) -> Path:
    """The folder of an agent that was given none, by the XDG convention."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "orchestration-hub" / "agents" / agent_id


async def _serve(options: AgentOptions, client: HubClient, log: FilteringBoundLogger, *, until_eof: bool) -> None:
    async with client:
        runner = Runner(options, client, log)
        loop = asyncio.get_running_loop()
        signals = _Signals(runner)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signals.heard)
        parent = asyncio.create_task(_end_of_input()) if until_eof else None
        if parent is not None:
            parent.add_done_callback(lambda _: runner.stop())
        try:
            await runner.run()
        finally:
            if parent is not None:
                parent.cancel()
                await asyncio.gather(parent, return_exceptions=True)


class _Signals:
    """The first signal stops the agent in good order; a second one ends it at once, commands included."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._count = 0

    def heard(self) -> None:
        self._count += 1
        if self._count == 1:
            self._runner.stop()
            return
        self._runner.kill()
        os._exit(INTERRUPTED)


async def _end_of_input() -> None:
    """Return when standard input has been closed at its other end."""
    reader = asyncio.StreamReader()
    protocol = partial(asyncio.StreamReaderProtocol, reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(protocol, sys.stdin)
    try:
        while await reader.read(4_096):
            pass
    finally:
        transport.close()


def _logger(level: str) -> FilteringBoundLogger:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LOG_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log
