"""`hub decision list|show|annotate`: what the PM decided, and why."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.client.arguments import After, Decision, Limit, OfExecution
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.connection import HubClient
from app.client.finding import DECISION, EXECUTION, find, find_id
from app.client.listing import listing
from app.client.operations import decisions
from app.client.output import line, moment, more, pretty, print_details, print_section
from app.client.paging import Found, Node, search
from app.domain.decisions import DecisionType

app = typer.Typer(no_args_is_help=True, help="Decisions: what was decided, by whom, on which grounds.")


@app.command("list")
@shows
def list_decisions(
    ctx: typer.Context,
    kind: Annotated[DecisionType | None, typer.Option("--type", help="Only decisions of this type.")] = None,
    execution: OfExecution = None,
    limit: Limit = 20,
    after: After = None,
) -> Work:
    """Show the newest decisions; with --execution those that it called for."""

    def fits(decision: Node) -> bool:
        return kind is None or decision["decisionType"] == kind.name

    async def found(client: HubClient) -> Found:
        if execution is None:
            return await search(client, decisions.DECISIONS, limit=limit, after=after, fits=fits)
        variables = {"executionId": await find_id(client, EXECUTION, execution)}
        return await search(client, decisions.DECISIONS_OF_EXECUTION, variables, limit=limit, after=after, fits=fits)

    async def work(client: HubClient) -> Answer:
        return listing(
            await found(client),
            ("decision", "type", "outcome", "confidence", "by", "tasks", "workflows", "decided"),
            lambda decision: (
                decision["decisionId"],
                decision["decisionType"],
                line(decision["outcome"]),
                f"{decision['confidenceScore']}/10",
                decision["decidedBy"],
                decision["tasks"]["totalCount"],
                decision["workflows"]["totalCount"],
                moment(decision["createdAt"]),
            ),
            empty="There are no such decisions.",
        )

    return work


@app.command()
@shows
def show(ctx: typer.Context, decision: Decision) -> Work:
    """Show one decision: the outcome, its reasons where the token may read them, and what came of it."""

    async def work(client: HubClient) -> Answer:
        found = await find(client, DECISION, decision, decisions.DETAILS)
        return Answer(found, lambda: _show(found))

    return work


@app.command()
@changes
def annotate(
    ctx: typer.Context,
    decision: Decision,
    notes: Annotated[str, typer.Argument(help="What was learned; it takes the place of earlier notes.")],
) -> Change:
    """Write down what was learned from a decision."""

    async def given(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, DECISION, decision)
        return {"decisionId": found["decisionId"], "expectedVersion": found["version"], "learningNotes": notes}

    return Change(
        decisions.ANNOTATE, given, told("decision", lambda noted: f"The notes of {noted['decisionId']} are kept.")
    )


def _show(decision: Node) -> None:
    withheld = decision["sealed"]["reason"]
    print_details(
        [
            ("decision", decision["decisionId"]),
            ("type", decision["decisionType"]),
            ("outcome", decision["outcome"]),
            ("confidence", f"{decision['confidenceScore']} of 10"),
            ("reasoning", withheld or decision["reasoningProcess"]),
            ("context", withheld or pretty(decision["contextData"])),
            ("decided by", decision["decidedBy"]),
            ("agent", decision["agentId"]),
            ("called for by", _execution(decision["execution"])),
            ("verdict on", _gate(decision["verdictOn"])),
            ("agent assignments", pretty(decision["agentAssignments"])),
            ("resources", pretty(decision["resourceOptimization"])),
            ("learning notes", decision["learningNotes"]),
            ("decided", moment(decision["createdAt"])),
            ("version", decision["version"]),
        ]
    )
    _show_grounds(decision)
    _show_outcome(decision)


def _show_grounds(decision: Node) -> None:
    print_section(
        f"Evidence{more(decision['evidence'])}",
        ("of", "from", "to", "figures"),
        (
            (
                evidence["agentId"] or evidence["executionId"],
                moment(evidence["intervalStart"]),
                moment(evidence["intervalEnd"]),
                pretty(evidence["snapshot"]),
            )
            for evidence in decision["evidence"]["nodes"]
        ),
    )


def _show_outcome(decision: Node) -> None:
    print_section(
        f"Tasks{more(decision['tasks'])}",
        ("task", "title", "status", "agent"),
        (
            (task["taskId"], line(task["title"]), task["status"], task["assignedAgentId"])
            for task in decision["tasks"]["nodes"]
        ),
    )
    print_section(
        f"Workflows{more(decision['workflows'])}",
        ("execution", "workflow", "status", "created"),
        (
            (
                workflow["executionId"],
                workflow["workflowName"],
                workflow["executionStatus"],
                moment(workflow["createdAt"]),
            )
            for workflow in decision["workflows"]["nodes"]
        ),
    )
    print_section(
        f"Quality gates asked for{more(decision['qualityGates'])}",
        ("gate", "name", "type", "status"),
        (
            (gate["gateId"], line(gate["gateName"]), gate["gateType"], gate["approvalStatus"])
            for gate in decision["qualityGates"]["nodes"]
        ),
    )
    print_section(
        f"Model assignments{more(decision['modelAssignments'])}",
        ("assignment", "agent", "model", "reason", "status", "estimated", "cost"),
        (
            (
                assignment["assignmentId"],
                assignment["agentId"],
                f"{assignment['providerName']} {assignment['modelName']}",
                assignment["assignmentReason"],
                assignment["assignmentStatus"],
                assignment["estimatedCost"],
                assignment["actualCost"],
            )
            for assignment in decision["modelAssignments"]["nodes"]
        ),
    )


def _execution(execution: Mapping[str, Any] | None) -> str:
    if execution is None:
        return ""
    return f"{execution['executionId']} {execution['workflowName']} {execution['executionStatus']}"


def _gate(gate: Mapping[str, Any] | None) -> str:
    return "" if gate is None else f"{gate['gateId']} {gate['gateName']} {gate['approvalStatus']}"
