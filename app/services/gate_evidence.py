"""What a gate is about, hashed, and what becomes of a gate when that changes."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.gate_evidence import (
    Evidence,
    EvidenceKind,
    changed_items,
    gather,
    item,
    items_of_checks,
    items_of_result,
)
from app.domain.gate_quorum import Authors, family_of, rules_of
from app.domain.quality_gates import ApprovalStatus
from app.services.gate_facts import due_at, gate_detail
from db.queries import gate_evidence as queries
from db.queries.catalogue import read_spec
from db.queries.changes import amend, read, transition
from db.queries.entities import EXECUTION, GATE
from db.queries.phase_results import decisions_by_id
from db.queries.quality_gates import assign_reviewers, named_reviewers

CHANGES_TOLD = 20
"""Changed items that an event names."""


async def evidence_of(
    session: AsyncConnection, gate: Row[Any], checks: Sequence[Mapping[str, Any]] | None = None
) -> Evidence:
    """What the gate is about now: results of the phases under review, and its checks, or these in their place."""
    passes = await _passes(session, gate)
    found = [*await _decided(session, passes), *_told(passes)]
    for task in await _work(session, gate, passes):
        found += items_of_result(task.phase, task.task_name, task.result)
    return gather([*found, *items_of_checks(gate.automated_checks if checks is None else checks)])


async def results_under_review(session: AsyncConnection, gate: Row[Any]) -> dict[str, Any]:
    """The results of the phases under review, by phase, as checks measure them: of many tasks by task."""
    execution = await read(session, EXECUTION, gate.workflow_execution_id)
    spec = await read_spec(session, execution.workflow_name, execution.template_version) or {}
    single = {phase["name"] for phase in spec.get("phases", ()) if phase["kind"] == "task"}
    passes = await _passes(session, gate)
    found: dict[str, Any] = {}
    for step in passes:
        if _is_told(step) or _is_decided(step):
            found[step.phase] = step.outcome.get("result", {k: v for k, v in step.outcome.items() if k != "next_phase"})
    for task in await _work(session, gate, passes):
        if task.phase in single:
            found[task.phase] = task.result
        else:
            found.setdefault(task.phase, {})[task.task_name] = task.result
    return found


async def authors_of(session: AsyncConnection, gate: Row[Any]) -> Authors:
    """Who made what the gate is about: agents, tokens, and families of models."""
    work = await _work(session, gate, await _passes(session, gate))
    models = await queries.models_of_tasks(session, [task.task_id for task in work])
    return Authors(
        frozenset(task.assigned_agent_id for task in work if task.assigned_agent_id is not None),
        frozenset(task.answered_in_session for task in work if task.answered_in_session is not None),
        frozenset(family_of(model.provider_name, model.model_name) for model in models),
    )


async def void_if_changed(session: AsyncConnection, gate: Row[Any], actor: str) -> Row[Any] | None:
    """Approved → in review, as a new revision, when what was approved is no longer what there is; None if it is.

    The gate is locked. What a gate without a phase rests on may grow, as its execution goes on, but not change.
    An approval from before evidence was kept stands.
    """
    if gate.verdict_evidence_hash is None:
        return None
    now = await evidence_of(session, gate)
    if now.sha256 == gate.verdict_evidence_hash:
        return None
    changed = changed_items(gate.evidence, now.items, added=gate.phase is not None)
    if not changed and gate.phase is None:
        return None
    reason = _reason(changed)
    detail = {"reason": reason, "approved_evidence_hash": gate.verdict_evidence_hash, "evidence_hash": now.sha256}
    values = {
        **_next_revision(gate, now),
        "approved_at": null(),
        "waived_by": null(),
        "waiver_reason": null(),
        "times_voided": gate.times_voided + 1,
        "void_reason": f"The approval was void: {reason}",
    }
    voided = await transition(
        session,
        GATE,
        gate.gate_id,
        ApprovalStatus.IN_REVIEW,
        "voided",
        actor,
        values=values,
        detail={**gate_detail(gate), "revision": gate.revision + 1} | detail,
    )
    await _ask_again(session, gate)
    return voided


async def follow_evidence(session: AsyncConnection, gate: Row[Any], actor: str) -> Row[Any] | None:
    """Begin the review anew when the work under it has changed; the gate as it is now, None when nothing has.

    The gate is locked and in review. Reviews of the work as it was stay with their revision, and count no more.
    """
    now = await evidence_of(session, gate)
    if gate.evidence_hash is None or now.sha256 == gate.evidence_hash:
        return None
    reason = _reason(changed_items(gate.evidence, now.items, added=True))
    detail = {"reason": reason, "evidence_hash": now.sha256, "revision": gate.revision + 1}
    values = {
        **_next_revision(gate, now),
        "times_voided": gate.times_voided + 1,
        "void_reason": f"The reviews were void: {reason}",
    }
    amended = await amend(
        session, GATE, gate.gate_id, "evidence_changed", actor, values=values, detail=gate_detail(gate) | detail
    )
    await _ask_again(session, gate)
    return amended


def _next_revision(gate: Row[Any], now: Evidence) -> dict[str, Any]:
    return {
        **now.columns(),
        "revision": gate.revision + 1,
        "verdict_evidence_hash": null(),
        "reviewed_at": null(),
        "due_at": due_at(rules_of(gate.validation_criteria)),
    }


async def _ask_again(session: AsyncConnection, gate: Row[Any]) -> None:
    """Those who were named for the last revision review the next one too; requests are the engine's to make."""
    names = await named_reviewers(session, gate.gate_id, gate.revision)
    await assign_reviewers(session, gate.gate_id, gate.revision + 1, names)


def _reason(changed: Sequence[str]) -> str:
    more = f", and {len(changed) - CHANGES_TOLD} more" if len(changed) > CHANGES_TOLD else ""
    return (", ".join(changed[:CHANGES_TOLD]) or "the evidence changed") + more


async def _passes(session: AsyncConnection, gate: Row[Any]) -> list[Row[Any]]:
    phases = rules_of(gate.validation_criteria).phases
    found = await queries.completed_passes(session, gate.workflow_execution_id, phases)
    return [step for step in found if step.phase != gate.phase]


async def _work(session: AsyncConnection, gate: Row[Any], passes: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    of_tasks = [(step.phase, step.attempt) for step in passes if not _is_told(step) and not _is_decided(step)]
    return await queries.work_of(session, gate.workflow_execution_id, of_tasks)


def _is_decided(step: Row[Any]) -> bool:
    return "decision_id" in step.outcome


def _is_told(step: Row[Any]) -> bool:
    """Whether the step itself holds what came of it: what a function returned, the verdict on a gate."""
    return "result" in step.outcome or "gate_id" in step.outcome


def _told(passes: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    found = []
    for step in filter(_is_told, passes):
        if "result" in step.outcome:
            found += items_of_result(step.phase, step.phase, step.outcome["result"])
        else:
            verdict = {name: value for name, value in step.outcome.items() if name != "next_phase"}
            found.append(item(EvidenceKind.GATE, step.phase, step.phase, verdict))
    return found


async def _decided(session: AsyncConnection, passes: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    phases = {UUID(step.outcome["decision_id"]): step.phase for step in passes if _is_decided(step)}
    if not phases:
        return []
    return [
        item(
            EvidenceKind.DECISION,
            phases[row.decision_id],
            phases[row.decision_id],
            {
                "decision_id": str(row.decision_id),
                "outcome": row.outcome,
                "agent_assignments": row.agent_assignments,
            },
        )
        for row in await decisions_by_id(session, list(phases))
    ]
