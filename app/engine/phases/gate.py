"""The phase `gate`: measured checks, reviews, and a verdict without which the work does not go on.

One gate belongs to a phase until it is approved or rejected; after a revision it is reopened. Coming past an approved
gate again, because a later gate sent the work back, asks for approval anew: with a new gate. So does coming to a
rejected one again when the execution is retried, which first goes back to the phase `on_revision`, where there is one.
"""

from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.ids import new_id
from app.domain.quality_gates import ApprovalStatus, run_check
from app.domain.templates import GatePhase
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.requests import review_request, verdict_request
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel
from app.engine.phases.work import ask, join
from db.queries.changes import amend, append, create, transition
from db.queries.entities import GATE
from db.queries.phase_results import latest_decision_id, latest_gate
from db.queries.steps import open_tasks_of_gate, tasks_of_phase

DECIDED = (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED)


async def prepare(session: AsyncConnection, visit: Visit[GatePhase]) -> None:
    """Lock the gate that may be reopened."""
    await latest_gate(session, visit.execution.execution_id, visit.phase.name, lock=True)


async def enter(session: AsyncConnection, visit: Visit[GatePhase]) -> Judgement:
    """Measure, open the gate or reopen it, and ask the reviewers, or at once for the verdict."""
    results = await results_of(session, visit.execution, _measured_phases(visit.phase))
    checks = [run_check(c.name, c.measure, c.at_most, c.at_least, results) for c in visit.phase.checks]
    known = await latest_gate(session, visit.execution.execution_id, visit.phase.name)
    if known is None or ApprovalStatus(known.approval_status) in DECIDED:
        known = await _create(session, visit)
    gate = await _open(session, visit, known, checks)
    return await _collect(session, visit, gate)


async def judge(session: AsyncConnection, visit: Visit[GatePhase]) -> Judgement:
    """Done when approved; a rejection fails the phase; a revision goes back, or waits until the gate is reopened."""
    gate = await latest_gate(session, visit.execution.execution_id, visit.phase.name, lock=True)
    assert gate is not None  # noqa: S101  (made by `enter` in the transaction that stored the step)
    match ApprovalStatus(gate.approval_status):
        case ApprovalStatus.APPROVED:
            await _withdraw_requests(session, gate)
            return Done(_outcome(gate))
        case ApprovalStatus.REJECTED:
            reason = f"The gate {gate.gate_name!r} was rejected: {gate.pm_decision}"
            return Failed(reason, _outcome(gate), visit.phase.on_revision)
        case ApprovalStatus.REQUIRES_REVISION:
            return await _revise(session, visit, gate)
        case ApprovalStatus.IN_REVIEW:
            return await _collect(session, visit, gate)
        case ApprovalStatus.PENDING:
            return Waiting()


async def _create(session: AsyncConnection, visit: Visit[GatePhase]) -> Row[Any]:
    execution, phase = visit.execution, visit.phase
    values = {
        "gate_id": new_id(),
        "gate_name": phase.title,
        "workflow_execution_id": execution.execution_id,
        "phase": phase.name,
        "phase_attempt": visit.attempt,
        "gate_type": phase.gate_type.value,
        "validation_criteria": {
            "checks": [check.model_dump(mode="json") for check in phase.checks],
            "reviewers": [role.value for role in phase.reviewers],
            "verdict_by": phase.verdict_by,
        },
        "requested_by_decision_id": await latest_decision_id(session, execution.execution_id) or execution.decision_id,
    }
    return await create(session, GATE, values, "created", ACTOR, _detail(visit, 0))


async def _open(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], checks: list[dict[str, Any]]
) -> Row[Any]:
    """Put the gate in review with these checks; after a revision as the next one."""
    again = gate.approval_status == ApprovalStatus.REQUIRES_REVISION.value
    revision = gate.revision + 1 if again else gate.revision
    values: dict[str, Any] = {"automated_checks": checks, "revision": revision, "reviewed_at": None}
    detail = {
        **_detail(visit, revision),
        "reviewers": [role.value for role in visit.phase.reviewers],
        "checks_failed": sum(not check["passed"] for check in checks),
    }
    if gate.approval_status == ApprovalStatus.IN_REVIEW.value:
        # somebody reopened it before the work came back; it is measured again all the same
        return await amend(session, GATE, gate.gate_id, "opened", ACTOR, values=values, detail=detail)
    return await transition(
        session, GATE, gate.gate_id, ApprovalStatus.IN_REVIEW, "opened", ACTOR, values=values, detail=detail
    )


async def _collect(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    """Ask for the reviews, and when they are all in, for the verdict; a person's verdict is only waited for."""
    known = await tasks_of_phase(session, visit.execution.execution_id, visit.phase.name, visit.attempt)
    by_name = {task.task_name: task for task in known}
    wanted = {_name(f"review-{role.value}", gate): role for role in visit.phase.reviewers}
    verdict = _name("verdict", gate)
    still_open = await open_tasks_of_gate(session, gate.gate_id)
    outdated = [task for task in still_open if task.task_name not in (*wanted, verdict)]
    await cancel(session, outdated, "another revision is under review")
    missing = {name: role for name, role in wanted.items() if name not in by_name}
    if missing:
        await _ask_for_reviews(session, visit, gate, missing)
    judged = await join(session, [by_name[name] for name in wanted if name in by_name])
    if judged is not None or missing:
        return judged or Waiting()
    if visit.phase.verdict_by == "human":
        return Waiting()
    if verdict not in by_name:
        await ask(session, visit, [await verdict_request(session, visit, gate, verdict)])
        return Waiting()
    return await join(session, [by_name[verdict]]) or Waiting()


async def _ask_for_reviews(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], missing: dict[str, Any]
) -> None:
    rows = [await review_request(session, visit, gate, name, role) for name, role in missing.items()]
    await ask(session, visit, rows)
    for name, role in missing.items():
        detail = {**_detail(visit, gate.revision), "role": role.value, "task_name": name}
        event = Event(Aggregate.QUALITY_GATE, "review_requested", ACTOR, detail=detail)
        await append(session, str(gate.gate_id), event)


async def _revise(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    phase = visit.phase
    if phase.on_revision is not None and gate.revision >= phase.max_revisions:
        reason = (
            f"The gate {gate.gate_name!r} asked for another revision, after {gate.revision} of at most "
            f"{phase.max_revisions}: {gate.pm_decision}"
        )
        return Failed(reason, _outcome(gate), phase.on_revision)
    await _withdraw_requests(session, gate)
    return Waiting() if phase.on_revision is None else Done(_outcome(gate), back_to=phase.on_revision)


async def _withdraw_requests(session: AsyncConnection, gate: Row[Any]) -> None:
    """A verdict may come without an answer to the request for it; nobody needs to work on that any more."""
    await cancel(session, await open_tasks_of_gate(session, gate.gate_id), f"the gate is {gate.approval_status}")


def _measured_phases(phase: GatePhase) -> set[str]:
    return {check.measure.split(".")[0] for check in phase.checks}


def _name(base: str, gate: Row[Any]) -> str:
    """The name of a request within its pass: a gate that is reopened without leaving its phase asks again."""
    return base if gate.revision == 0 else f"{base}-{gate.revision + 1}"


def _outcome(gate: Row[Any]) -> dict[str, Any]:
    return {"gate_id": str(gate.gate_id), "approval_status": gate.approval_status, "revision": gate.revision}


def _detail(visit: Visit[GatePhase], revision: int) -> dict[str, Any]:
    return {
        "execution_id": str(visit.execution.execution_id),
        "phase": visit.phase.name,
        "attempt": visit.attempt,
        "revision": revision,
    }
