"""`hub gate list|approve|reject|revise|waive`: quality gates, and a person's verdicts on them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client.arguments import After, Gate, Limit, OfExecution
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.connection import HubClient
from app.client.finding import EXECUTION, GATE, find, find_id
from app.client.listing import listing
from app.client.operations import quality_gates
from app.client.output import checks_summary
from app.client.paging import Found, Node, search
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict

app = typer.Typer(no_args_is_help=True, help="Quality gates: what waits for a verdict, and giving it.")

Reason = Annotated[str, typer.Option(help="The verdict in words; it is recorded.")]
Confidence = Annotated[int, typer.Option(min=1, max=10, help="How sure you are.")]
Score = Annotated[float | None, typer.Option(min=0, max=10, help="The quality that you see.")]
Reasoning = Annotated[str | None, typer.Option(help="The reasoning behind it, kept sealed; the reason if unset.")]
Suggestions = Annotated[str | None, typer.Option(help="What to do better.")]


@app.command("list")
@shows
def list_gates(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that wait for no verdict.")] = False,
    execution: OfExecution = None,
    limit: Limit = 100,
    after: After = None,
) -> Work:
    """Show the gates that wait for a verdict, newest first."""

    def fits(gate: Node) -> bool:
        waits = gate["approvalStatus"] == ApprovalStatus.IN_REVIEW.name and gate["closedAt"] is None
        return everything or waits

    async def found(client: HubClient) -> Found:
        if execution is None:
            return await search(client, quality_gates.GATES, limit=limit, after=after, fits=fits)
        variables = {"executionId": await find_id(client, EXECUTION, execution)}
        return await search(client, quality_gates.GATES_OF_EXECUTION, variables, limit=limit, after=after, fits=fits)

    async def work(client: HubClient) -> Answer:
        return listing(
            await found(client),
            ("gate", "name", "type", "status", "workflow", "checks"),
            lambda gate: (
                gate["gateId"],
                gate["gateName"],
                gate["gateType"],
                gate["approvalStatus"],
                gate["execution"]["workflowName"],
                checks_summary(gate["automatedChecks"]),
            ),
            empty="There are no gates." if everything else "No gate waits for a verdict.",
        )

    return work


@app.command()
@changes
def approve(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
) -> Change:
    """Let the work pass."""
    return _decide(ReviewVerdict.APPROVE, gate, reason, confidence, score, reasoning, None)


@app.command()
@changes
def reject(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
    suggestions: Suggestions = None,
) -> Change:
    """Refuse the work; its workflow fails."""
    return _decide(ReviewVerdict.REJECT, gate, reason, confidence, score, reasoning, suggestions)


@app.command()
@changes
def revise(
    ctx: typer.Context,
    gate: Gate,
    reason: Reason,
    confidence: Confidence = 8,
    score: Score = None,
    reasoning: Reasoning = None,
    suggestions: Suggestions = None,
) -> Change:
    """Send the work back to be done again."""
    return _decide(ReviewVerdict.REQUEST_REVISION, gate, reason, confidence, score, reasoning, suggestions)


@app.command()
@changes
def waive(
    ctx: typer.Context,
    gate: Gate,
    reason: Annotated[str, typer.Option(help="Why; it is recorded with your name.")],
    confidence: Confidence = 8,
) -> Change:
    """Let the work pass whatever its reviews, score and criteria say."""

    async def given(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, GATE, gate)
        return {
            "gateId": found["gateId"],
            "expectedVersion": found["version"],
            "reason": reason,
            "confidenceScore": confidence,
        }

    waived = told("qualityGate", lambda decided: f"{escape(decided['gateName'])} is waived.")
    return Change(quality_gates.WAIVE, given, waived)


def _decide(
    verdict: ReviewVerdict,
    gate: str,
    reason: str,
    confidence: int,
    score: float | None,
    reasoning: str | None,
    suggestions: str | None,
) -> Change:
    async def given(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, GATE, gate)
        return {
            "gateId": found["gateId"],
            "expectedVersion": found["version"],
            "pmDecision": reason,
            "reasoningProcess": reasoning,
            "confidenceScore": confidence,
            "qualityScore": None if score is None else str(score),
            "improvementSuggestions": suggestions,
        }

    return Change(
        quality_gates.BY_VERDICT[verdict],
        given,
        told("qualityGate", lambda decided: f"{escape(decided['gateName'])} is {decided['approvalStatus']}."),
    )
