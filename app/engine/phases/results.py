"""The results of phases, as later phases are given them and as checks measure them.

task → the task's result; parallel → result by task; decision → the open parts of the decision; gate → its status with
the measured checks; function → what it returned; wait for a signal → what it brought; workflow → its output,
or a list of outputs. Always those of the latest completed pass,
which in a fork may have been another execution's; null when the latest pass was skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.flow_phases import WaitPhase, WorkflowPhase
from app.domain.gate_phase import GatePhase
from app.domain.templates import DecisionPhase, FunctionPhase, ParallelPhase, TaskPhase
from app.domain.workflows import StepStatus
from app.engine.leases import Execution
from db.queries.children import outputs_of_step
from db.queries.phase_results import decisions_by_id, gates_by_id
from db.queries.signals import payloads
from db.queries.steps import completed_steps, task_results


async def results_of(session: AsyncConnection, execution: Execution, names: Iterable[str]) -> dict[str, Any]:
    """The results of the phases, by name, in the order of the template; a phase that was not completed has none, one
    that was skipped null.
    """
    return (await given_results(session, execution, names))["results"]


async def given_results(
    session: AsyncConnection, execution: Execution, names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """`{"results": …}` as `results_of` has them; with `{"skipped": {phase: reason}}` where some were skipped."""
    wanted = set(names)
    if not wanted:
        return {"results": {}}
    passes = await completed_steps(session, execution.execution_id, sorted(wanted))
    skipped = {step.phase: step.outcome["skipped"]["reason"] for step in passes if _is_skipped(step)}
    steps = [step for step in passes if not _is_skipped(step)]
    found = {
        **dict.fromkeys(skipped),
        **await _of_tasks(session, execution, steps),
        **await _of_decisions(session, execution, steps),
        **await _of_gates(session, execution, steps),
        **{step.phase: step.outcome["result"] for step in _of_kind(execution, steps, FunctionPhase)},
        **await _of_signals(session, execution, steps),
        **await _of_workflows(session, execution, steps),
    }
    results = {phase.name: found[phase.name] for phase in execution.template.phases if phase.name in found}
    return {"results": results, **({"skipped": skipped} if skipped else {})}


def _is_skipped(step: Row[Any]) -> bool:
    return bool(step.step_status == StepStatus.SKIPPED.value)


async def _of_tasks(session: AsyncConnection, execution: Execution, steps: Sequence[Row[Any]]) -> Mapping[str, Any]:
    passes: dict[UUID, list[tuple[str, int]]] = {}
    for step in _of_kind(execution, steps, TaskPhase, ParallelPhase):
        passes.setdefault(step.source_execution_id, []).append((step.phase, step.attempt))
    by_phase: dict[str, dict[str, Any]] = {phase: {} for group in passes.values() for phase, _ in group}
    for execution_id, group in passes.items():
        for task in await task_results(session, execution_id, group):
            by_phase[task.phase][task.task_name] = task.result
    singles = {name for name in by_phase if isinstance(execution.template.phase(name), TaskPhase)}
    return {name: next(iter(tasks.values()), None) if name in singles else tasks for name, tasks in by_phase.items()}


async def _of_decisions(session: AsyncConnection, execution: Execution, steps: Sequence[Row[Any]]) -> Mapping[str, Any]:
    ids = {UUID(step.outcome["decision_id"]): step.phase for step in _of_kind(execution, steps, DecisionPhase)}
    if not ids:
        return {}
    return {
        ids[row.decision_id]: {
            "decision_id": str(row.decision_id),
            "decision_type": row.decision_type,
            "outcome": row.outcome,
            "confidence_score": row.confidence_score,
            "agent_assignments": row.agent_assignments,
        }
        for row in await decisions_by_id(session, list(ids))
    }


async def _of_gates(session: AsyncConnection, execution: Execution, steps: Sequence[Row[Any]]) -> Mapping[str, Any]:
    ids = [UUID(step.outcome["gate_id"]) for step in _of_kind(execution, steps, GatePhase)]
    if not ids:
        return {}
    return {
        gate.phase: {
            "gate_id": str(gate.gate_id),
            "approval_status": gate.approval_status,
            "checks": gate.automated_checks,
            "quality_score": float(gate.quality_score) if gate.quality_score is not None else None,
        }
        for gate in await gates_by_id(session, ids)
    }


async def _of_signals(session: AsyncConnection, execution: Execution, steps: Sequence[Row[Any]]) -> Mapping[str, Any]:
    taken = {
        step.phase: UUID(step.outcome["signal_id"])
        for step in _of_kind(execution, steps, WaitPhase)
        if "signal_id" in step.outcome
    }
    if not taken:
        return {}
    brought = await payloads(session, list(taken.values()))
    return {phase: brought[signal_id] for phase, signal_id in taken.items()}


async def _of_workflows(session: AsyncConnection, execution: Execution, steps: Sequence[Row[Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for step in _of_kind(execution, steps, WorkflowPhase):
        outputs = await outputs_of_step(session, step.source_execution_id, step.step_number)
        found[step.phase] = outputs if _is_many(execution, step.phase) else next(iter(outputs), None)
    return found


def _is_many(execution: Execution, phase: str) -> bool:
    """Whether the phase starts a workflow for each item of a list."""
    found = execution.template.phase(phase)
    return isinstance(found, WorkflowPhase) and found.foreach is not None


def _of_kind(execution: Execution, steps: Sequence[Row[Any]], *kinds: type) -> list[Row[Any]]:
    return [step for step in steps if isinstance(execution.template.phase(step.phase), kinds)]
