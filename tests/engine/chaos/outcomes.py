"""What came of each execution beside what its plan says must come of it; and its checkpoints beside its steps."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.engine import Row

from db.session import Database
from tests.engine.chaos.oracle import Prediction, predict
from tests.engine.chaos.plans import Plan
from tests.engine.team import errors_of, execution_of, rows_of, steps_of, tasks_of

VERDICTS = text(
    """
    SELECT phase, count(*) AS verdicts FROM event_log JOIN quality_gates ON entity_id = gate_id::text
    WHERE aggregate = 'quality_gate' AND event_type IN ('approved', 'rejected', 'revision_requested')
        AND workflow_execution_id = :execution_id
    GROUP BY phase
    """
)
DECISIONS = text(
    "SELECT count(*) AS decisions FROM decisions WHERE execution_id = :execution_id AND decision_type <> 'quality_gate'"
)


async def execution_violations(database: Database, execution_id: UUID, plan: Plan, *, cancelled: bool) -> list[str]:
    """Where the execution is not as its plan says. One that was cancelled went a part of the way."""
    predicted = predict(plan)
    execution = await execution_of(database, execution_id)
    was_cancelled = cancelled and execution.execution_status == "cancelled"
    steps = await steps_of(database, execution_id)
    found = [*_path_faults(execution, steps, predicted, was_cancelled)]
    if not was_cancelled:
        found += [fault async for fault in _count_faults(database, execution_id, predicted)]
    found += _task_faults(await tasks_of(database, execution_id), predicted, steps)
    found += await _checkpoint_faults(database, execution_id, steps, ended=execution.execution_status == "completed")
    return [f"execution {execution_id} (plan {plan.seed}): {fault}" for fault in found]


def _path_faults(execution: Row[Any], steps: list[Row[Any]], predicted: Prediction, cancelled: bool) -> Iterator[str]:
    path = [(step.phase, step.attempt, step.step_status) for step in steps]
    if cancelled:
        whole = path[:-1] if path and path[-1][2] == "running" else path
        if whole != predicted.path[: len(whole)]:
            yield f"went {path}, which is no part of {predicted.path}"
        return
    if execution.execution_status != predicted.status:
        yield f"is {execution.execution_status} and not {predicted.status}"
    if path != predicted.path:
        yield f"went {path} and not {predicted.path}"


async def _count_faults(database: Database, execution_id: UUID, predicted: Prediction) -> Any:
    errors = await errors_of(database, execution_id)
    found = Counter(error.severity for error in errors)
    if found != Counter(critical=predicted.failures, warning=predicted.warnings):
        wanted = f"{predicted.failures} and {predicted.warnings} warnings"
        yield f"has the errors {[error.message for error in errors]} and should have {wanted}"
    given = {"execution_id": execution_id}
    verdicts = {row.phase: row.verdicts for row in await rows_of(database, VERDICTS.bindparams(**given))}
    if verdicts != dict(predicted.verdicts):
        yield f"had the verdicts {verdicts} and not {dict(predicted.verdicts)}"
    (decisions,) = await rows_of(database, DECISIONS.bindparams(**given))
    if decisions.decisions != predicted.decisions:
        yield f"had {decisions.decisions} decisions and not {predicted.decisions}"


def _task_faults(tasks: list[Row[Any]], predicted: Prediction, steps: list[Row[Any]]) -> Iterator[str]:
    """Every pass made its tasks once; where it ended well, each is done after as many failures as planned."""
    made = Counter((task.phase, task.phase_attempt, task.task_name) for task in tasks)
    if doubled := [key for key, times in made.items() if times > 1]:
        yield f"made tasks twice: {doubled}"
    for step in steps:
        key = (step.phase, step.attempt)
        expected = predicted.tasks.get(key, {})
        found = {task.task_name: task for task in tasks if (task.phase, task.phase_attempt) == key}
        if unknown := found.keys() - expected.keys():
            yield f"made tasks of {key} that nobody asked for: {sorted(unknown)}"
        if step.step_status != "completed":
            continue
        done = {name: task.failures for name, task in found.items() if task.status == "completed"}
        if done != expected:
            yield f"did the tasks {done} of {key} and not {expected}"


async def _checkpoint_faults(
    database: Database, execution_id: UUID, steps: list[Row[Any]], *, ended: bool
) -> list[str]:
    """Checkpoints are one line without forks, and what they say of a step is what its row says."""
    checkpoints = await _checkpoints(database.url, execution_id)
    found = []
    parents = Counter(parent for parent, _ in checkpoints if parent is not None)
    if forks := [parent for parent, times in parents.items() if times > 1]:
        found.append(f"has two checkpoints after one: {forks}")
    rows = {step.step_number: step for step in steps}
    for _, state in checkpoints:
        step = rows.get(state.get("step_number", 0))
        if state.get("step_number") and (step is None or not _agrees(step, state)):
            found.append(f"has a checkpoint {state} that its steps do not know")
    newest = checkpoints[0][1] if checkpoints else {}
    if ended and (not newest or newest.get("step_number") != len(steps) or newest.get("next_phase")):
        found.append(f"ended with the checkpoint {newest} after {len(steps)} steps")
    return found


def _agrees(step: Row[Any], state: Mapping[str, Any]) -> bool:
    """After a retry the graph begins with the state of the step that failed, and the phase of the retry."""
    if step.step_status == "failed":
        return state["next_phase"] in ("", step.phase, step.outcome.get("retry_phase"))
    return bool(step.step_status == "completed" and state["next_phase"] == step.outcome.get("next_phase"))


async def _checkpoints(url: str, execution_id: UUID) -> list[tuple[str | None, dict[str, Any]]]:
    """Parent and state of each checkpoint, the newest first."""
    settings: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "options": "-c search_path=langgraph"}
    async with await AsyncConnection.connect(url, row_factory=dict_row, **settings) as connection:
        saver = AsyncPostgresSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        found = []
        async for each in saver.alist({"configurable": {"thread_id": str(execution_id)}}):
            parent = each.parent_config["configurable"]["checkpoint_id"] if each.parent_config else None
            found.append((parent, each.checkpoint["channel_values"]))
        return found
