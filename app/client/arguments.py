"""Arguments and options that several commands take, and their completion in the shell."""

from typing import Annotated

import typer

from app.client import completing

Execution = Annotated[
    str,
    typer.Argument(
        help="The execution's id, or as much of its beginning as is unique.", autocompletion=completing.executions
    ),
]
Gate = Annotated[
    str,
    typer.Argument(help="The gate's id, or as much of its beginning as is unique.", autocompletion=completing.gates),
]
Task = Annotated[
    str,
    typer.Argument(help="The task's id, or as much of its beginning as is unique.", autocompletion=completing.tasks),
]
Decision = Annotated[
    str,
    typer.Argument(
        help="The decision's id, or as much of its beginning as is unique.", autocompletion=completing.decisions
    ),
]
Agent = Annotated[
    str,
    typer.Argument(help="The agent's id, or as much of its beginning as is unique.", autocompletion=completing.agents),
]
Schedule = Annotated[
    str,
    typer.Argument(
        help="The schedule's id, or as much of its beginning as is unique.", autocompletion=completing.schedules
    ),
]
Template = Annotated[str, typer.Argument(help="The template, e.g. code-audit.", autocompletion=completing.templates)]
Token = Annotated[
    str,
    typer.Argument(help="The token's id, or as much of its beginning as is unique.", autocompletion=completing.tokens),
]
OfExecution = Annotated[
    str | None, typer.Option("--execution", help="Only those of this execution.", autocompletion=completing.executions)
]
OfAgent = Annotated[
    str | None, typer.Option("--agent", help="Only those of this agent.", autocompletion=completing.agents)
]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")]
After = Annotated[str | None, typer.Option(help="Go on behind this place: the cursor that a listing ended with.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit record.")]
GivenReason = Annotated[str, typer.Option("--reason", help="Why, for the audit record.")]
