"""What a gate in review waits for, in this order: its commands, its reviewers, the verdict."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.gate_conditions import values_of
from app.domain.gate_measuring import commands, fail_command, judge_command, phases_measured, replaced
from app.domain.gate_phase import Check, GatePhase
from app.domain.quality_gates import ApprovalStatus, failed_checks
from app.domain.tasks import TaskStatus
from app.engine.phases.base import ACTOR, Judgement, Visit, Waiting
from app.engine.phases.requests import Asked, command_request, review_request, verdict_request
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel
from app.engine.phases.work import ask, join
from app.services.gate_evidence import evidence_of
from app.services.gate_reviews import count_reviews
from app.services.quality_gates import settle
from db.queries.changes import amend, append
from db.queries.entities import GATE
from db.queries.executions import wake
from db.queries.quality_gates import outstanding_reviews
from db.queries.steps import open_tasks_of_gate, task_results, tasks_of_phase

Tasks = Mapping[str, Row[Any]]


async def collect(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    """Ask for what is missing now; a person's verdict, and the quorum's, is only waited for."""
    found = await tasks_of_phase(session, visit.execution.execution_id, visit.phase.name, visit.attempt)
    known = {task.task_name: task for task in found}
    checks = commands(visit.phase, gate.automated_checks)
    measuring = {_name(f"check-{number}", gate): check for number, check in enumerate(checks.values(), 1)}
    reviewers = {_name(f"review-{asked.name}", gate): asked for asked in _asked(visit.phase)}
    verdict = _name("verdict", gate)
    await _cancel_outdated(session, gate, {*measuring, *reviewers, verdict})
    if measuring:
        measured = await _measure(session, visit, gate, measuring, known)
        if measured is None:
            return Waiting()
        gate = measured
    judged = await _collect_reviews(session, visit, gate, reviewers, known)
    if judged is not None:
        return judged
    if visit.phase.verdict_by == "quorum":
        gate = await settle(session, gate)
        if gate.approval_status != ApprovalStatus.IN_REVIEW.value:
            # decided here and now: this same phase is looked at once more
            await wake(session, gate.workflow_execution_id)
    if visit.phase.verdict_by != "pm":
        return Waiting()
    if verdict not in known:
        await ask(session, visit, [await verdict_request(session, visit, gate, verdict)])
        return Waiting()
    return await join(session, [known[verdict]]) or Waiting()


def gate_event(visit: Visit[GatePhase], revision: int) -> dict[str, Any]:
    """What every event of the phase's gate tells."""
    return {
        "execution_id": str(visit.execution.execution_id),
        "phase": visit.phase.name,
        "attempt": visit.attempt,
        "revision": revision,
    }


def _asked(phase: GatePhase) -> list[Asked]:
    """Roles have no hyphen in their names, agents' ids have one: no two requests are named alike."""
    roles = [Asked(role.value, role=role) for role in phase.reviewers]
    return roles + [Asked(agent_id, agent_id=agent_id) for agent_id in phase.reviewer_agents]


async def _cancel_outdated(session: AsyncConnection, gate: Row[Any], wanted: set[str]) -> None:
    still_open = await open_tasks_of_gate(session, gate.gate_id)
    outdated = [task for task in still_open if task.task_name not in wanted]
    await cancel(session, outdated, "another revision is under review")


async def _measure(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], wanted: Mapping[str, Check], known: Tasks
) -> Row[Any] | None:
    """Have the commands run, and keep what they found; the gate with it, None while they run."""
    missing = {name: check for name, check in wanted.items() if name not in known}
    if missing:
        rows = [await command_request(session, visit, gate, name, check) for name, check in missing.items()]
        await ask(session, visit, rows)
        return None
    over = {name: known[name] for name in wanted if _is_over(known[name])}
    await join(session, [known[name] for name in wanted if name not in over])
    if len(over) < len(wanted):
        return None
    recorded = {check.get("task_id") for check in gate.automated_checks}
    if all(str(task.task_id) in recorded for task in over.values()):
        return gate
    return await _record(session, visit, gate, wanted, over)


async def _record(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], wanted: Mapping[str, Check], over: Tasks
) -> Row[Any]:
    execution_id, phase = visit.execution.execution_id, visit.phase
    answers = await task_results(session, execution_id, [(phase.name, visit.attempt)])
    results = {answer.task_name: answer.result for answer in answers}
    of_phases = await results_of(session, visit.execution, phases_measured(phase))
    checks: list[dict[str, Any]] = list(gate.automated_checks)
    for name, check in wanted.items():
        task = over[name]
        values = values_of(of_phases, checks)
        if task.status == TaskStatus.COMPLETED.value:
            judged = judge_command(check, str(task.task_id), results[name], values)
        else:
            judged = fail_command(check, str(task.task_id), f"The command was not run: {task.error or task.status}")
        checks = replaced(checks, [judged])
    values = {"automated_checks": checks, **(await evidence_of(session, gate, checks)).columns()}
    detail = {
        **gate_event(visit, gate.revision),
        "checks": [check.name for check in wanted.values()],
        "checks_failed": failed_checks(checks),
    }
    return await amend(session, GATE, gate.gate_id, "checks_recorded", ACTOR, values=values, detail=detail)


async def _collect_reviews(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], wanted: Mapping[str, Asked], known: Tasks
) -> Judgement | None:
    """Ask the reviewers; None when the verdict may be asked for: all have answered, or the quorum stands."""
    missing = {name: asked for name, asked in wanted.items() if name not in known}
    if missing:
        await _ask_for_reviews(session, visit, gate, missing)
    rows = [known[name] for name in wanted if name in known]
    has_quorum = visit.phase.quorum is not None or visit.phase.verdict_by == "quorum"
    if has_quorum:
        # one reviewer who cannot answer does not fail what others may still approve
        given_up = [task for task in rows if _is_over(task) and task.status != TaskStatus.COMPLETED.value]
        await cancel(session, [t for t in given_up if t.status == TaskStatus.FAILED.value], "it failed too often")
        rows = [task for task in rows if task not in given_up]
    judged = await join(session, rows)
    if has_quorum and not missing:
        counted = await count_reviews(session, gate)
        return None if counted.stands or not counted.outstanding else Waiting()
    if judged is not None or missing:
        return judged or Waiting()
    named = visit.phase.people and await outstanding_reviews(session, gate.gate_id, gate.revision)
    return Waiting() if named else None


async def _ask_for_reviews(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], missing: Mapping[str, Asked]
) -> None:
    rows = [await review_request(session, visit, gate, name, asked) for name, asked in missing.items()]
    await ask(session, visit, rows)
    for name, asked in missing.items():
        role = asked.role.value if asked.role is not None else None
        detail = {**gate_event(visit, gate.revision), "role": role, "task_name": name}
        detail |= {"agent_id": asked.agent_id} if asked.agent_id is not None else {}
        event = Event(Aggregate.QUALITY_GATE, "review_requested", ACTOR, detail=detail)
        await append(session, str(gate.gate_id), event)


def _is_over(task: Row[Any]) -> bool:
    """Whether nobody will answer it any more, or somebody has."""
    if task.status == TaskStatus.FAILED.value:
        return bool(task.failures >= task.max_failures)
    return task.status in (TaskStatus.COMPLETED.value, TaskStatus.CANCELLED.value)


def _name(base: str, gate: Row[Any]) -> str:
    """The name of a request within its pass: a gate that is reopened without leaving its phase asks again."""
    return base if gate.revision == 0 else f"{base}-{gate.revision + 1}"
