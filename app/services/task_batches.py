"""The breakdown of a decision into tasks: many in one request, of which some wait for others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.batches import BatchMode, Linked, arrange, check_batch
from app.domain.errors import Blocked, HubError
from app.domain.principals import Principal
from app.services.batches import Outcome, field_of_item, judge_items
from app.services.tasks import CreateTask, require_known, require_parents, task_values
from db.queries.tasks import insert_tasks, missing_tasks


@dataclass(frozen=True)
class PlannedTask:
    """One task of a batch. `task` is made when its turn comes, so that what is malformed refuses this one only."""

    task: Callable[[], CreateTask]
    links: Linked = field(default_factory=Linked)


@dataclass(frozen=True)
class CreateTasks:
    """From 1 to 200 tasks of one decision and one execution, where there are such."""

    tasks: Sequence[PlannedTask]
    decision_id: UUID | None = None
    execution_id: UUID | None = None
    mode: BatchMode = BatchMode.ALL_OR_NOTHING


async def create_tasks(session: AsyncConnection, principal: Principal, command: CreateTasks) -> list[Outcome]:
    """Store the tasks, those first that others of them wait for; what became of each, in the order given.

    Raises `InvalidInput`, `NotFound` or `Blocked` for what the tasks have in common, and in mode ALL_OR_NOTHING the
    first refusal of a task.
    """
    check_batch("tasks", command.tasks)
    await require_parents(session, command.decision_id, command.execution_id)
    arrangement = arrange([item.links for item in command.tasks])
    rows, faults = _described(command)
    named = {task_id for row in rows.values() for task_id in row["depends_on"]}
    missing = await missing_tasks(session, named) if named else set()
    made: set[int] = set()

    def judge(index: int) -> dict[str, Any]:
        for found in (arrangement.faults, faults):
            if index in found:
                raise found[index]
        row, needs = rows[index], arrangement.needs[index]
        require_known(row["depends_on"], missing)
        _require_made(needs, made)
        made.add(index)
        return row | {"depends_on": [*row["depends_on"], *(rows[need]["task_id"] for need in needs)]}

    judged = judge_items(command.mode, arrangement.order, judge, field_of_item("tasks"))
    stored = await insert_tasks(session, list(judged.accepted.values()), principal.name) if judged.accepted else ()
    return judged.outcomes(dict(zip(judged.accepted, stored, strict=True)))


def _described(command: CreateTasks) -> tuple[dict[int, dict[str, Any]], dict[int, HubError]]:
    """The columns of the tasks that are well described, and what is wrong with the others."""
    rows: dict[int, dict[str, Any]] = {}
    faults: dict[int, HubError] = {}
    shared = {"decision_id": command.decision_id, "execution_id": command.execution_id}
    for index, item in enumerate(command.tasks):
        try:
            rows[index] = task_values(item.task()) | shared
        except HubError as fault:
            faults[index] = fault
    return rows, faults


def _require_made(needs: Sequence[int], made: set[int]) -> None:
    refused = [str(need) for need in needs if need not in made]
    if refused:
        raise Blocked(
            f"It waits for item {', '.join(refused)} of the batch, which was refused. Nothing was written.",
            "input.dependsOnKeys",
        )
