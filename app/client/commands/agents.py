"""`hub agents`, and below it show, set-status, message: what the hub knows of its agents."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client import completing
from app.client.arguments import After, Agent, Limit, Reason
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.connection import HubClient
from app.client.finding import AGENT, find, find_id
from app.client.listing import listing
from app.client.operations import agents
from app.client.output import line, moment, more, pretty, print_details, print_section, progress_text
from app.client.paging import Node, search
from app.domain.agents import AgentRole, AgentStatus

app = typer.Typer(help="Agents as the hub knows them. (`hub agent run` runs one.)")


@app.callback(invoke_without_command=True)
@shows
def list_agents(
    ctx: typer.Context,
    status: Annotated[AgentStatus | None, typer.Option(help="Only those in this status.")] = None,
    role: Annotated[AgentRole | None, typer.Option(help="Only those of this role.")] = None,
    stale: Annotated[bool, typer.Option("--stale", help="Only those that have not reported for 30 seconds.")] = False,
    limit: Limit = 100,
    after: After = None,
) -> Work:
    """Agents as the hub knows them; alone, the list of them. (`hub agent run` runs one.)"""

    def fits(agent: Node) -> bool:
        fitting_status = status is None or agent["status"] == status.name
        fitting_role = role is None or agent["agentRole"] == role.name
        return fitting_status and fitting_role and (agent["isStale"] or not stale)

    async def work(client: HubClient) -> Answer:
        return listing(
            await search(client, agents.AGENTS, limit=limit, after=after, fits=fits),
            ("agent", "role", "status", "load", "stale", "last activity", "tasks at hand"),
            lambda agent: (
                agent["agentId"],
                agent["agentRole"],
                agent["status"],
                f"{agent['activeTasks']['totalCount']}/{agent['concurrency']}",
                "stale" if agent["isStale"] else "",
                moment(agent["lastActivity"]),
                line("; ".join(task["title"] for task in agent["activeTasks"]["nodes"])),
            ),
            empty="There are no such agents. `hub agent run --help` says how to start one.",
        )

    return work


@app.command()
@shows
def show(ctx: typer.Context, agent: Agent) -> Work:
    """Show one agent: its state, its tasks, models, reviews and messages."""

    async def work(client: HubClient) -> Answer:
        found = await find(client, AGENT, agent, agents.DETAILS)
        return Answer(found, lambda: _show(found))

    return work


@app.command("set-status")
@changes
def set_status(
    ctx: typer.Context,
    agent: Agent,
    status: Annotated[AgentStatus, typer.Argument(help="idle, error or offline; the rest follows from its tasks.")],
    reason: Reason = None,
) -> Change:
    """Say that an agent is idle, in error or offline; in the last two its tasks are given back."""

    async def given(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, AGENT, agent)
        return {
            "agentId": found["agentId"],
            "expectedVersion": found["version"],
            "status": status.name,
            "reason": reason,
        }

    return Change(
        agents.SET_STATUS, given, told("agent", lambda changed: f"{escape(changed['agentId'])} is {changed['status']}.")
    )


@app.command()
@changes
def message(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="What it says.")],
    to: Annotated[
        str | None, typer.Option(help="The agent that it is for; all if unset.", autocompletion=completing.agents)
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The agent that says it; you, by your token's name, if unset.",
            autocompletion=completing.agents,
        ),
    ] = None,
) -> Change:
    """Send a message to an agent, or to all."""

    async def given(client: HubClient) -> Mapping[str, Any]:
        return {
            "fromAgentId": None if sender is None else await find_id(client, AGENT, sender),
            "toAgentId": None if to is None else await find_id(client, AGENT, to),
            "body": text,
        }

    return Change(
        agents.SEND_MESSAGE, given, told("message", lambda sent: f"Sent to {escape(sent['toAgentId'] or 'all')}.")
    )


def _show(agent: Node) -> None:
    active = agent["activeTasks"]
    print_details(
        [
            ("agent", agent["agentId"]),
            ("name", agent["agentName"]),
            ("role", agent["agentRole"]),
            ("status", agent["status"]),
            ("may become", ", ".join(agent["allowedTransitions"])),
            ("load", f"{active['totalCount']} of {agent['concurrency']} tasks"),
            ("last activity", moment(agent["lastActivity"]) + (" (stale)" if agent["isStale"] else "")),
            ("capabilities", ", ".join(agent["capabilities"])),
            ("resources", pretty(agent["resourceUtilization"])),
            ("performance", pretty(agent["performanceMetrics"])),
            ("configuration", pretty(agent["extensionConfig"])),
            ("registered", moment(agent["createdAt"])),
            ("version", agent["version"]),
        ]
    )
    print_section(
        f"Tasks at hand{more(active)}",
        ("task", "title", "status", "progress", "since", "workflow"),
        (
            (
                task["taskId"],
                line(task["title"]),
                task["status"],
                progress_text(task["progress"]),
                moment(task["startedAt"]),
                (task["execution"] or {}).get("workflowName"),
            )
            for task in active["nodes"]
        ),
    )
    print_section(
        f"Latest tasks{more(agent['tasks'])}",
        ("task", "title", "status", "attempts", "completed"),
        (
            (task["taskId"], line(task["title"]), task["status"], task["attempts"], moment(task["completedAt"]))
            for task in agent["tasks"]["nodes"]
        ),
    )
    _show_reviews(agent["reviews"])
    print_section(
        f"Model assignments{more(agent['modelAssignments'])}",
        ("assignment", "model", "provider", "status", "cost", "tokens"),
        (
            (
                assignment["assignmentId"],
                assignment["modelName"],
                assignment["providerName"],
                assignment["assignmentStatus"],
                assignment["actualCost"],
                assignment["tokensUsed"],
            )
            for assignment in agent["modelAssignments"]["nodes"]
        ),
    )
    print_section(
        f"Messages{more(agent['communicationHistory'])}",
        ("sent", "from", "to", "text"),
        (
            (
                moment(message["createdAt"]),
                message["fromAgentId"] or message["sentBy"],
                message["toAgentId"] or "all",
                message["body"],
            )
            for message in agent["communicationHistory"]["nodes"]
        ),
    )


def _show_reviews(reviews: Mapping[str, Any]) -> None:
    print_section(
        f"Reviews{more(reviews)}",
        ("gate", "name", "status", "verdict", "asked", "answered"),
        (
            (
                review["gateId"],
                line(review["gate"]["gateName"]),
                review["gate"]["approvalStatus"],
                review["verdict"],
                moment(review["assignedAt"]),
                moment(review["reviewedAt"]),
            )
            for review in reviews["nodes"]
        ),
    )
