"""A verdict holds for the evidence that it was given on, and for no other."""

import hashlib
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.domain.errors import EvidenceChanged
from app.domain.gate_checks import MeasuredCheck
from app.domain.gate_evidence import canonical_json
from app.domain.quality_gates import ApprovalStatus
from app.services.gate_changes import RecordChecks, record_checks
from app.services.gate_evidence import follow_evidence, void_if_changed
from app.services.quality_gates import OpenGate, decide_gate, open_gate
from db.queries.changes import read
from db.queries.entities import GATE
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers, quality_gates
from tests.services.deciding import a_verdict
from tests.services.makers import ADMIN, SEALER, a_gate, an_agent, an_execution, count, events_of, row_of, run
from tests.services.reviewing import PM, QUINN, RITA, amend_result, built, review, under_review

TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


async def void(database: Database, gate: Any) -> Any:
    """What the engine does with an approved gate before it moves on."""

    async def look(session: Any) -> Any:
        return await void_if_changed(session, await read(session, GATE, gate.gate_id, lock=True), "hub")

    return await database.transact(look)


async def approve(database: Database, gate: Any, **changes: Any) -> Any:
    return await run(database, decide_gate, PM, a_verdict(gate, **changes), SEALER)


async def test_a_gate_in_review_tells_each_item_with_a_hash_that_anybody_can_compute(database: Database) -> None:
    result = {"git_tree": TREE, "artifacts": [{"path": "a.py", "sha256": "0" * 64}, {"name": "b"}, 7], "ü": 1.0}
    gate = await under_review(database, [], work={"result": result})
    checked = await run(
        database, record_checks, PM, RecordChecks(gate.gate_id, gate.version, [MeasuredCheck("size", 3.0, at_most=5.0)])
    )
    told = {(item["kind"], item["phase"], item["name"]): (item["value"], item["sha256"]) for item in checked.evidence}
    assert told == {
        ("artifact", "build", "build: a.py"): (None, "0" * 64),
        ("artifact", "build", "build: b"): (None, hashlib.sha256(b'{"name":"b"}').hexdigest()),
        ("check", None, "size"): (None, hashlib.sha256(canonical_json(checked.automated_checks[0])).hexdigest()),
        ("git_tree", "build", "build"): (TREE, hashlib.sha256(f'"{TREE}"'.encode()).hexdigest()),
        ("result", "build", "build"): (
            None,
            hashlib.sha256(canonical_json(result)).hexdigest(),
        ),
    }
    listed = [[item["kind"], item["phase"] or "", item["name"], item["sha256"]] for item in checked.evidence]
    assert checked.evidence_hash == hashlib.sha256(orjson.dumps(sorted(listed))).hexdigest()
    assert checked.evidence_hash != gate.evidence_hash


async def test_who_saw_something_else_is_refused_and_nothing_is_written(database: Database) -> None:
    gate = await under_review(database)
    await amend_result(database, gate.workflow_execution_id, {"files": 4})
    events = await count(database, event_log)
    for attempt in (
        review(database, RITA, gate, evidence_hash=gate.evidence_hash),
        approve(database, gate, evidence_hash=gate.evidence_hash),
        approve(database, gate, evidence_hash="0" * 64, waives=True),
    ):
        with pytest.raises(EvidenceChanged) as caught:
            await attempt
        assert caught.value.field == "input.evidenceHash"
        assert caught.value.current != gate.evidence_hash
    assert (await count(database, event_log), await count(database, decisions)) == (events, 0)
    assert (await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="rita")).verdict is None


async def test_reviews_and_verdicts_keep_the_hash_of_what_they_saw(database: Database) -> None:
    gate = await under_review(database, quorum=2)
    for who in (QUINN, RITA):
        await review(database, who, gate, evidence_hash=f" {gate.evidence_hash.upper()} ")
    decided = await approve(database, gate, evidence_hash=gate.evidence_hash)
    assert decided.verdict_evidence_hash == gate.evidence_hash
    kept = await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="rita")
    assert kept.evidence_hash == gate.evidence_hash
    decision = await row_of(database, decisions, decision_id=decided.decision_id)
    sealed = decision.sealed_key, decision.context_data_sealed, "decisions", "context_data", str(decided.decision_id)
    assert orjson.loads(SEALER.open(*sealed))["evidence_hash"] == gate.evidence_hash
    assert await void(database, decided) is None


async def test_an_approval_of_work_that_changed_is_void_and_asked_anew(database: Database) -> None:
    gate = await under_review(database, quorum=2)
    for who in (QUINN, RITA):
        await review(database, who, gate)
    approved = await approve(database, gate)
    await amend_result(database, gate.workflow_execution_id, {"files": 4})
    voided = await void(database, approved)
    assert (voided.approval_status, voided.revision, voided.times_voided) == ("in_review", 1, 1)
    assert (voided.approved_at, voided.verdict_evidence_hash) == (None, None)
    assert voided.void_reason == "The approval was void: result 'build: build' changed"
    assert voided.evidence_hash != approved.evidence_hash
    event = await row_of(database, event_log, entity_id=str(gate.gate_id), event_type="voided")
    assert (event.from_status, event.to_status, event.actor) == ("approved", "in_review", "hub")
    assert event.detail["reason"] == "result 'build: build' changed"
    assert event.detail["approved_evidence_hash"] == approved.verdict_evidence_hash
    # both are asked again; what they said stays with what they saw
    with pytest.raises(Exception, match="its quorum is 2 approving reviews, and 0 count; outstanding: quinn-qa, rita"):
        await approve(database, voided)
    for who in (QUINN, RITA):
        await review(database, who, voided)
    again = await approve(database, voided)
    assert (again.approval_status, again.decision_id != approved.decision_id) == ("approved", True)
    assert await void(database, again) is None
    assert (await events_of(database, gate.gate_id))[-1] == ("approved", "in_review", "approved", 5)


async def test_a_waiver_of_work_that_changed_is_void_too(database: Database) -> None:
    gate = await under_review(database, quorum=2)
    waived = await approve(database, gate, waives=True)
    await amend_result(database, gate.workflow_execution_id, {"files": 4})
    voided = await void(database, waived)
    assert (voided.approval_status, voided.waived_by, voided.waiver_reason) == ("in_review", None, None)


async def test_reviews_of_work_that_changed_do_not_count(database: Database) -> None:
    gate = await under_review(database, quorum=2)
    await review(database, QUINN, gate)
    await amend_result(database, gate.workflow_execution_id, {"files": 4})

    async def look(session: Any) -> Any:
        return await follow_evidence(session, await read(session, GATE, gate.gate_id, lock=True), "hub")

    changed = await database.transact(look)
    assert (changed.approval_status, changed.revision) == ("in_review", 1)
    assert await database.transact(look) is None
    await review(database, RITA, changed)
    with pytest.raises(Exception, match="and 1 count; outstanding: quinn-qa"):
        await approve(database, changed)


async def test_what_a_gate_of_no_phase_rests_on_may_grow_but_not_change(database: Database) -> None:
    await an_agent(database, "james-dev")
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    approved = await approve(database, opened)
    await built(database, execution.execution_id)
    assert await void(database, approved) is None
    await database.transact(
        lambda session: session.execute(
            text('UPDATE quality_gates SET automated_checks = \'[{"name": "x", "passed": true}]\'')
        )
    )
    assert await void(database, approved) is None


async def test_an_approval_from_before_evidence_was_kept_stands(database: Database) -> None:
    gate = await under_review(database, [])
    approved = await approve(database, gate)
    statement = quality_gates.update().values(verdict_evidence_hash=None, evidence_hash=None, evidence=[])
    await database.transact(lambda session: session.execute(statement))
    assert await void(database, approved) is None
    kept = await row_of(database, quality_gates, gate_id=gate.gate_id)
    assert kept.approval_status == ApprovalStatus.APPROVED.value
