"""`hub gate list|approve|reject|revise`: quality gates, and a person's verdicts on them."""

from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from app.client.connection import HubClient
from app.client.errors import NotFoundHere
from app.client.operations import quality_gates
from app.client.options import run
from app.client.output import checks_summary, out, print_json, print_table
from app.client.paging import walk
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict

app = typer.Typer(no_args_is_help=True, help="Quality gates: what waits for a verdict, and giving it.")

SEARCHED = 1_000
"""How many of the newest gates a listing or the prefix of an id is sought among."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Gate = Annotated[str, typer.Argument(help="The gate's id, or as much of its beginning as is unique.")]
Reason = Annotated[str, typer.Option(help="The verdict in words; it is recorded.")]
Confidence = Annotated[int, typer.Option(min=1, max=10, help="How sure you are.")]
Score = Annotated[float | None, typer.Option(min=0, max=10, help="The quality that you see.")]
Reasoning = Annotated[str | None, typer.Option(help="The reasoning behind it, kept sealed; the reason if unset.")]
Suggestions = Annotated[str | None, typer.Option(help="What to do better.")]


@app.command("list")
def list_gates(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that wait for no verdict.")] = False,
    execution: Annotated[str | None, typer.Option(help="Only gates of this execution.")] = None,
    as_json: Json = False,
) -> None:
    """Show the gates that wait for a verdict, newest first."""

    async def work(client: HubClient) -> list[dict[str, Any]]:
        return [
            gate
            async for gate in walk(client, quality_gates.GATES, SEARCHED)
            if (everything or gate["approvalStatus"] == ApprovalStatus.IN_REVIEW.name)
            and execution in (None, gate["execution"]["executionId"])
        ]

    gates = run(ctx, work)
    if as_json:
        print_json(gates)
        return
    print_table(
        ("gate", "name", "type", "status", "workflow", "checks"),
        (
            (
                gate["gateId"],
                gate["gateName"],
                gate["gateType"],
                gate["approvalStatus"],
                gate["execution"]["workflowName"],
                checks_summary(gate["automatedChecks"]),
            )
            for gate in gates
        ),
        empty="There are no gates." if everything else "No gate waits for a verdict.",
    )


@app.command()
def approve(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
    as_json: Json = False,
) -> None:
    """Let the work pass."""
    _decide(ctx, ReviewVerdict.APPROVE, gate, reason, confidence, score, reasoning, None, as_json=as_json)


@app.command()
def reject(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
    suggestions: Suggestions = None,
    as_json: Json = False,
) -> None:
    """Refuse the work; its workflow fails."""
    _decide(ctx, ReviewVerdict.REJECT, gate, reason, confidence, score, reasoning, suggestions, as_json=as_json)


@app.command()
def revise(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
    suggestions: Suggestions = None,
    as_json: Json = False,
) -> None:
    """Send the work back to be done again."""
    verdict = ReviewVerdict.REQUEST_REVISION
    _decide(ctx, verdict, gate, reason, confidence, score, reasoning, suggestions, as_json=as_json)


def _decide(
    ctx: typer.Context,
    verdict: ReviewVerdict,
    gate: str,
    reason: str,
    confidence: int,
    score: float | None,
    reasoning: str | None,
    suggestions: str | None,
    *,
    as_json: bool,
) -> None:
    async def work(client: HubClient) -> dict[str, Any]:
        found = await find_gate(client, gate)
        given = {
            "gateId": found["gateId"],
            "expectedVersion": found["version"],
            "pmDecision": reason,
            "reasoningProcess": reasoning,
            "confidenceScore": confidence,
            "qualityScore": None if score is None else str(score),
            "improvementSuggestions": suggestions,
        }
        return await client.mutate(quality_gates.BY_VERDICT[verdict], given)

    decided = run(ctx, work)["qualityGate"]
    if as_json:
        print_json(decided)
        return
    out().print(f"{escape(decided['gateName'])} is {decided['approvalStatus']}.")


async def find_gate(client: HubClient, wanted: str) -> dict[str, Any]:
    """The gate with this id, or the only one among the newest whose id begins so. Raises `NotFoundHere`."""
    wanted = wanted.strip().lower()
    if _is_whole(wanted):
        found: dict[str, Any] | None = (await client.execute(quality_gates.GATE, {"gateId": wanted}))["qualityGate"]
        fitting = [found] if found is not None else []
    else:
        gates = walk(client, quality_gates.GATES, SEARCHED)
        fitting = [gate async for gate in gates if wanted and gate["gateId"].startswith(wanted)]
    match fitting:
        case [gate]:
            return gate
        case []:
            raise NotFoundHere(f"There is no gate {wanted!r}. `hub gate list --all` shows the gates.")
    some = ", ".join(gate["gateId"] for gate in fitting[:5])
    raise NotFoundHere(f"{len(fitting)} gates begin with {wanted!r}: {some}{', …' if len(fitting) > 5 else ''}.")


def _is_whole(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
