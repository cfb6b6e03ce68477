"""`hub tasks`, and below it show, retry, cancel: tasks, how far they are, and what they wait for."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client.arguments import After, GivenReason, Limit, OfAgent, OfExecution, Reason, Task
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.connection import HubClient
from app.client.finding import AGENT, EXECUTION, TASK, find, find_id
from app.client.listing import listing
from app.client.operations import tasks
from app.client.output import line, moment, more, number, pretty, print_details, print_section, progress_text
from app.client.paging import Found, Node, search
from app.domain.tasks import TaskStatus
from app.domain.workflows import RUNNABLE

app = typer.Typer(help="Tasks: how far they are, and what they wait for.")

WORKED_ON = frozenset(status.name for status in RUNNABLE)


@app.callback(invoke_without_command=True)
@shows
def list_tasks(
    ctx: typer.Context,
    status: Annotated[TaskStatus | None, typer.Option(help="Only those in this status.")] = None,
    agent: OfAgent = None,
    execution: OfExecution = None,
    limit: Limit = 20,
    after: After = None,
) -> Work:
    """Tasks: how far they are, and what they wait for; alone, the list of the newest."""

    async def found(client: HubClient) -> Found:
        variables: dict[str, Any] = {}
        agent_id = None if agent is None else await find_id(client, AGENT, agent)
        if execution is not None:
            operation = tasks.TASKS_OF_EXECUTION
            variables = {"executionId": await find_id(client, EXECUTION, execution)}
        elif agent_id is not None:
            operation, variables = tasks.TASKS_OF_AGENT, {"agentId": agent_id}
        else:
            operation = tasks.TASKS

        def fits(task: Node) -> bool:
            of_agent = agent_id is None or task["assignedAgentId"] == agent_id
            return of_agent and (status is None or task["status"] == status.name)

        return await search(client, operation, variables, limit=limit, after=after, fits=fits)

    async def work(client: HubClient) -> Answer:
        return listing(
            await found(client),
            ("task", "title", "status", "agent", "progress", "attempts", "phase", "changed"),
            lambda task: (
                task["taskId"],
                line(task["title"]),
                task["status"],
                task["assignedAgentId"],
                progress_text(task["progress"]),
                task["attempts"],
                task["phase"],
                moment(task["updatedAt"]),
            ),
            empty="There are no such tasks.",
        )

    return work


@app.command()
@shows
def show(ctx: typer.Context, task: Task) -> Work:
    """Show one task: its state, progress and result, what it depends on, and what it waits for."""

    async def work(client: HubClient) -> Answer:
        found = await find(client, TASK, task, tasks.DETAILS)
        return Answer(found, lambda: _show(found))

    return work


@app.command()
@changes
def retry(ctx: typer.Context, task: Task, reason: Reason = None) -> Change:
    """Let a failed task be claimed again."""
    return _change(tasks.RETRY, task, reason=reason)


@app.command()
@changes
def cancel(ctx: typer.Context, task: Task, reason: GivenReason) -> Change:
    """Withdraw a task for good."""
    return _change(tasks.CANCEL, task, reason=reason)


def _change(operation: str, task: str, **values: Any) -> Change:
    async def given(client: HubClient) -> Mapping[str, Any]:
        found = await find(client, TASK, task)
        return {"taskId": found["taskId"], "expectedVersion": found["version"], **values}

    return Change(
        operation,
        given,
        told("task", lambda changed: f"{escape(changed['title'])} ({changed['taskId']}) is {changed['status']}."),
    )


def _show(task: Node) -> None:
    print_details(
        [
            ("task", task["taskId"]),
            ("title", task["title"]),
            ("kind", task["taskKind"]),
            ("status", task["status"]),
            ("waits for", "\n".join(_waits(task))),
            ("progress", progress_text(task["progress"])),
            ("agent", task["assignedAgentId"]),
            ("may become", ", ".join(task["allowedTransitions"])),
            ("description", task["description"]),
            ("needs", _needs(task)),
            ("complexity", task["complexity"]),
            ("attempts", f"{task['attempts']}, failed {task['failures']} of {task['maxFailures']}"),
            ("workflow", _workflow(task)),
            ("decision", _decision(task)),
            ("gate", _gate(task)),
            ("started", moment(task["startedAt"])),
            ("completed", moment(task["completedAt"])),
            ("took", "" if task["durationMs"] is None else f"{number(int(task['durationMs']))} ms"),
            ("input", pretty(task["input"])),
            ("result", pretty(task["result"])),
            ("version", task["version"]),
        ]
    )
    print_section(
        f"Depends on{more(task['dependencies'])}",
        ("task", "title", "status", "agent"),
        (
            (needed["taskId"], line(needed["title"]), needed["status"], needed["assignedAgentId"])
            for needed in task["dependencies"]["nodes"]
        ),
    )
    print_section(
        f"Model assignments{more(task['modelAssignments'])}",
        ("assignment", "agent", "model", "provider", "status", "cost", "tokens"),
        (
            (
                assignment["assignmentId"],
                assignment["agentId"],
                assignment["modelName"],
                assignment["providerName"],
                assignment["assignmentStatus"],
                assignment["actualCost"],
                assignment["tokensUsed"],
            )
            for assignment in task["modelAssignments"]["nodes"]
        ),
    )


def _waits(task: Node) -> Iterator[str]:
    """What keeps the task from going on, a line each; none for a task that ended."""
    if task["status"] not in (TaskStatus.PENDING.name, TaskStatus.ASSIGNED.name, TaskStatus.RUNNING.name):
        return
    for needed in task["dependencies"]["nodes"]:
        if needed["status"] != TaskStatus.COMPLETED.name:
            yield f"task {needed['taskId']} ({line(needed['title'], 40)}), which is {needed['status']}"
    execution, holder = task["execution"], task["assignedAgent"]
    if execution is not None and execution["executionStatus"] not in WORKED_ON:
        yield f"its workflow {execution['executionId']}, which is {execution['executionStatus']}"
    if holder is None:
        yield f"an agent that takes it: {_needs(task)}"
    elif holder["isStale"]:
        yield f"its agent {holder['agentId']}, not heard of since {moment(holder['lastActivity'])}"


def _needs(task: Node) -> str:
    role = f"role {task['requiredRole']}" if task["requiredRole"] else "any role"
    return f"{role}, capabilities {', '.join(task['requiredCapabilities'])}" if task["requiredCapabilities"] else role


def _workflow(task: Node) -> str:
    execution: Mapping[str, Any] | None = task["execution"]
    if execution is None:
        return ""
    phase = f", phase {task['phase']} (pass {task['phaseAttempt']})" if task["phase"] else ""
    return f"{execution['executionId']} {execution['workflowName']} {execution['executionStatus']}{phase}"


def _decision(task: Node) -> str:
    decision: Mapping[str, Any] | None = task["decision"]
    return "" if decision is None else f"{decision['decisionId']} {line(decision['outcome'])}"


def _gate(task: Node) -> str:
    gate: Mapping[str, Any] | None = task["gate"]
    return "" if gate is None else f"{gate['gateId']} {gate['gateName']} {gate['approvalStatus']}"
