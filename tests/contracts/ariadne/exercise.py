"""A worker's day, by the generated client: python exercise.py URL TOKEN AGENT_ID CURSOR. Prints what it saw as JSON."""
# mypy: disable-error-code=import-not-found

import asyncio
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from hub_client.client import Client
from hub_client.enums import AgentRole, AssignmentReason, Provider, TaskStatus
from hub_client.find_node import FindNodeNodeTask
from hub_client.input_types import (
    AgentRegisterInput,
    MeasurementInput,
    ModelAssignmentCompleteInput,
    ModelAssignmentRecordInput,
    ResourceMetricsRecordInput,
    TaskClaimInput,
    TaskCompleteInput,
    TaskCreateInput,
    TaskStartInput,
)
from hub_client.scalars import Cursor

T = TypeVar("T")


def known(value: T | None) -> T:
    """The value, which the hub must not have left out."""
    assert value is not None
    return value


async def events_after(client: Client, task_id: str, after: Cursor) -> tuple[list[str], list[Cursor]]:
    """The task's events until its completion, and their cursors."""
    types: list[str] = []
    cursors: list[Cursor] = []
    async for told in client.task_changes(task_id=task_id, after=after):
        change = told.task_changed
        types.append(f"{change.event_type} {change.to_status}")
        cursors.append(change.cursor)
        if change.to_status == TaskStatus.COMPLETED.value:
            break
    return types, cursors


async def day(client: Client, agent_id: str, start: Cursor) -> dict[str, object]:
    """Do it all, and tell."""
    await client.agent_register(
        AgentRegisterInput(agent_id=agent_id, agent_role=AgentRole.DEVELOPER, capabilities=[agent_id])
    )
    given = TaskCreateInput(
        title="Build it", required_capabilities=[agent_id], input={"deep": [1, None, {"word": "grün"}]}
    )
    rehearsed = (await client.task_create(given.model_copy(update={"dry_run": True}))).task_create.dry_run
    task_id = known((await client.task_create(given)).task_create.task).task_id
    claimed = known((await client.task_claim(TaskClaimInput(agent_id=agent_id, task_id=task_id))).task_claim.task)
    stale = await client.task_start(TaskStartInput(task_id=task_id, expected_version=1))
    started = known(
        (await client.task_start(TaskStartInput(task_id=task_id, expected_version=claimed.version))).task_start.task
    )

    recorded = await client.model_assignment_record(
        ModelAssignmentRecordInput(
            agent_id=agent_id,
            task_id=task_id,
            provider_name=Provider.ZAI_GLM,
            model_name="glm-5",
            assignment_reason=AssignmentReason.COST_OPTIMIZATION,
        )
    )
    assignment = known(recorded.model_assignment_record.model_assignment)
    completed = await client.model_assignment_complete(
        ModelAssignmentCompleteInput(
            assignment_id=assignment.assignment_id,
            expected_version=assignment.version,
            actual_cost=Decimal("0.123456"),
            tokens_used=2**53 - 1,
        )
    )
    used = known(completed.model_assignment_complete.model_assignment)
    assert used.actual_cost == Decimal("0.123456")

    now = datetime.now(UTC)
    measurement = MeasurementInput(
        measurement_time=now, agent_id=agent_id, cpu_usage=Decimal("12.5"), memory_usage=Decimal("0.1")
    )
    await client.resource_metrics_record(ResourceMetricsRecordInput(measurements=[measurement]))
    measured = known((await client.list_measurements(first=1)).resource_metrics).nodes[0]

    await client.task_complete(
        TaskCompleteInput(task_id=task_id, expected_version=started.version, result={"done": True})
    )
    everything, cursors = await events_after(client, task_id, start)
    rest, _ = await events_after(client, task_id, cursors[1])
    at_hand = known((await client.task_at_hand(task_id)).task)
    found = (await client.find_node(at_hand.id)).node
    assert isinstance(found, FindNodeNodeTask)

    rehearsal = known(rehearsed)
    return {
        "rehearsed": [rehearsal.would_succeed, *(change.event_type for change in rehearsal.changes)],
        "input": claimed.input,
        "refused": [[error.code.value, error.current_version] for error in stale.task_start.user_errors],
        "tokens": used.tokens_used,
        "cost": str(used.actual_cost),
        "measured": [str(measured.cpu_usage), str(measured.memory_usage)],
        "sameMoment": measured.measurement_time == now,
        "events": everything,
        "resumed": rest,
        "status": at_hand.status.value,
        "node": found.title,
    }


async def main(url: str, token: str, agent_id: str, start: str) -> None:
    """Print what was seen."""
    authorization = {"authorization": f"Bearer {token}"}
    ws_url = url.replace("http", "ws", 1)
    async with Client(url, authorization, ws_url=ws_url, ws_connection_init_payload=authorization) as client:
        sys.stdout.write(json.dumps(await day(client, agent_id, Cursor(start))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
