"""The phase `gate`: measured checks, reviews, and a verdict without which the work does not go on.

One gate belongs to a phase until it is approved or rejected; after a revision it is reopened. Coming past an approved
gate again, because a later gate sent the work back, asks for approval anew: with a new gate. So does coming to a
rejected one again when the execution is retried, which first goes back to the phase `on_revision`, where there is one.

What was approved is looked at again before the execution moves on: an approval of other evidence is void.
"""

from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.gate_measuring import measure_all, phases_measured, replaced
from app.domain.gate_phase import GatePhase
from app.domain.gate_quorum import rules_of
from app.domain.ids import new_id
from app.domain.quality_gates import FINAL_VERDICTS, ApprovalStatus
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.collecting import collect, gate_event
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel
from app.services.gate_evidence import evidence_of, follow_evidence, void_if_changed
from app.services.gate_facts import due_at
from db.queries.changes import amend, create, transition
from db.queries.entities import GATE
from db.queries.phase_results import latest_decision_id, latest_gate
from db.queries.quality_gates import assign_reviewers
from db.queries.steps import open_tasks_of_gate


async def prepare(session: AsyncConnection, visit: Visit[GatePhase]) -> None:
    """Lock the gate that may be reopened."""
    await latest_gate(session, visit.execution.execution_id, visit.phase.name, lock=True)


async def enter(session: AsyncConnection, visit: Visit[GatePhase]) -> Judgement:
    """Measure, open the gate or reopen it, and ask the reviewers, or at once for the verdict."""
    checks = await _measured(session, visit)
    known = await latest_gate(session, visit.execution.execution_id, visit.phase.name)
    if known is None or ApprovalStatus(known.approval_status) in FINAL_VERDICTS:
        known = await _create(session, visit)
    gate = await _open(session, visit, known, checks)
    return await collect(session, visit, gate)


async def judge(session: AsyncConnection, visit: Visit[GatePhase]) -> Judgement:
    """Done when approved; a rejection fails the phase; a revision goes back, or waits until the gate is reopened."""
    gate = await latest_gate(session, visit.execution.execution_id, visit.phase.name, lock=True)
    assert gate is not None  # noqa: S101  (made by `enter` in the transaction that stored the step)
    match ApprovalStatus(gate.approval_status):
        case ApprovalStatus.APPROVED:
            return await _move_on(session, visit, gate)
        case ApprovalStatus.REJECTED:
            reason = f"The gate {gate.gate_name!r} was rejected: {gate.pm_decision}"
            return Failed(reason, _outcome(gate), visit.phase.on_revision)
        case ApprovalStatus.REQUIRES_REVISION:
            return await _revise(session, visit, gate)
        case ApprovalStatus.IN_REVIEW:
            return await _follow(session, visit, gate)
        case ApprovalStatus.PENDING:
            return Waiting()


async def _move_on(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    """Done, unless what was approved is not what there is: then all is measured and asked anew."""
    voided = await void_if_changed(session, gate, ACTOR)
    if voided is None:
        await _withdraw_requests(session, gate)
        return Done(_outcome(gate))
    return await collect(session, visit, await _measure_again(session, visit, voided))


async def _follow(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    """Go on asking; anew, when the work under review has changed."""
    changed = await follow_evidence(session, gate, ACTOR)
    if changed is not None:
        gate = await _measure_again(session, visit, changed)
    return await collect(session, visit, gate)


async def _create(session: AsyncConnection, visit: Visit[GatePhase]) -> Row[Any]:
    execution, phase = visit.execution, visit.phase
    values = {
        "gate_id": new_id(),
        "gate_name": phase.title,
        "workflow_execution_id": execution.execution_id,
        "phase": phase.name,
        "phase_attempt": visit.attempt,
        "gate_type": phase.gate_type.value,
        "validation_criteria": _criteria(phase),
        "requested_by_decision_id": await latest_decision_id(session, execution.execution_id) or execution.decision_id,
    }
    return await create(session, GATE, values, "created", ACTOR, gate_event(visit, 0))


def _criteria(phase: GatePhase) -> dict[str, Any]:
    """What the gate asks of its verdict, as every gate keeps it."""
    under_review = list(dict.fromkeys([*phase.uses, *sorted(phases_measured(phase))]))
    return {
        "checks": [check.model_dump(mode="json", exclude_none=True) for check in phase.checks],
        "reviewers": [*(role.value for role in phase.reviewers), *phase.reviewer_agents, *phase.people],
        "verdict_by": phase.verdict_by,
        "quorum": phase.quorum,
        "allow_self_review": phase.allow_self_review,
        "allow_same_model_family": phase.allow_same_model_family,
        "min_score": phase.min_score,
        "criteria": list(phase.criteria),
        "timeout_seconds": phase.timeout_seconds,
        "escalate_to": phase.escalate_to,
        "phases": under_review or None,
    }


async def _open(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], checks: list[dict[str, Any]]
) -> Row[Any]:
    """Put the gate in review with these checks; after a revision as the next one."""
    again = gate.approval_status == ApprovalStatus.REQUIRES_REVISION.value
    revision = gate.revision + 1 if again else gate.revision
    values: dict[str, Any] = {
        "automated_checks": checks,
        "revision": revision,
        "reviewed_at": None,
        "due_at": due_at(rules_of(gate.validation_criteria)),
        **(await evidence_of(session, gate, checks)).columns(),
    }
    detail = {
        **gate_event(visit, revision),
        "reviewers": gate.validation_criteria.get("reviewers", []),
        "checks_failed": sum(not check["passed"] for check in checks),
    }
    await assign_reviewers(session, gate.gate_id, revision, visit.phase.people)
    if gate.approval_status == ApprovalStatus.IN_REVIEW.value:
        # somebody reopened it before the work came back; it is measured again all the same
        return await amend(session, GATE, gate.gate_id, "opened", ACTOR, values=values, detail=detail)
    return await transition(
        session, GATE, gate.gate_id, ApprovalStatus.IN_REVIEW, "opened", ACTOR, values=values, detail=detail
    )


async def _measured(session: AsyncConnection, visit: Visit[GatePhase]) -> list[dict[str, Any]]:
    results = await results_of(session, visit.execution, phases_measured(visit.phase))
    return measure_all(visit.phase.checks, results)


async def _measure_again(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Row[Any]:
    """Measure the template's checks on the work as it is now; those that somebody recorded stay."""
    if not visit.phase.checks:
        return gate
    checks = replaced(gate.automated_checks, await _measured(session, visit))
    values = {"automated_checks": checks, **(await evidence_of(session, gate, checks)).columns()}
    detail = {**gate_event(visit, gate.revision), "checks": [check.name for check in visit.phase.checks]}
    return await amend(session, GATE, gate.gate_id, "checks_recorded", ACTOR, values=values, detail=detail)


async def _revise(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any]) -> Judgement:
    phase = visit.phase
    sent_back = gate.revision - gate.times_voided
    if phase.on_revision is not None and sent_back >= phase.max_revisions:
        reason = (
            f"The gate {gate.gate_name!r} asked for another revision, after {sent_back} of at most "
            f"{phase.max_revisions}: {gate.pm_decision}"
        )
        return Failed(reason, _outcome(gate), phase.on_revision)
    await _withdraw_requests(session, gate)
    return Waiting() if phase.on_revision is None else Done(_outcome(gate), back_to=phase.on_revision)


async def _withdraw_requests(session: AsyncConnection, gate: Row[Any]) -> None:
    """A verdict may come without an answer to the request for it; nobody needs to work on that any more."""
    await cancel(session, await open_tasks_of_gate(session, gate.gate_id), f"the gate is {gate.approval_status}")


def _outcome(gate: Row[Any]) -> dict[str, Any]:
    return {"gate_id": str(gate.gate_id), "approval_status": gate.approval_status, "revision": gate.revision}
