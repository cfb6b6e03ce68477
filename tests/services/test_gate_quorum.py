"""Who counts to a gate's quorum, what the quorum lets pass, and what it decides by itself."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.domain.errors import Blocked, Forbidden, IllegalTransition, InvalidInput
from app.domain.principals import Principal, Role
from app.domain.quality_gates import ApprovalStatus, GateType
from app.services.gate_changes import AssignReviewers, assign_reviewers
from app.services.gate_creation import CreateGate, create_gate
from app.services.quality_gates import OpenGate, decide_gate, open_gate
from app.services.tasks import ClaimTask, claim_task
from db.session import Database
from db.tables.decisions import decisions
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from tests.services.deciding import JOHN, a_verdict
from tests.services.makers import ADMIN, SEALER, a_request, a_running_task, an_execution, count, events_of, row_of, run
from tests.services.reviewing import (
    CLAUDE,
    GLM,
    JAMES,
    MARY,
    PM,
    QUINN,
    RITA,
    review,
    under_review,
    worked_with,
)


async def exclusions(database: Database, gate_id: UUID) -> dict[str, str | None]:
    """By reviewer of the gate why the review does not count."""
    statement = select(gate_reviewers.c.reviewer, gate_reviewers.c.excluded_because).where(
        gate_reviewers.c.gate_id == gate_id, gate_reviewers.c.reviewed_at.is_not(None)
    )
    found = await database.transact(lambda session: session.execute(statement))
    return {row.reviewer: row.excluded_because for row in found}


async def approve(database: Database, gate: Any, **changes: Any) -> Any:
    return await run(database, decide_gate, PM, a_verdict(gate, **changes), SEALER)


async def test_a_gate_is_approved_when_its_quorum_stands_and_not_before(database: Database) -> None:
    gate = await under_review(database, ["quinn-qa", "rita", "mary"], quorum=2)
    await review(database, QUINN, gate)
    await review(database, RITA, gate, "request_revision", feedback="Name the units.")
    with pytest.raises(Blocked, match="its quorum is 2 approving reviews, and 1 count; outstanding: mary"):
        await approve(database, gate)
    assert await count(database, decisions) == 0
    await review(database, MARY, gate)
    assert (await approve(database, gate)).approval_status == "approved"
    kept = await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="rita")
    assert (kept.verdict, kept.feedback, kept.excluded_because) == ("request_revision", "Name the units.", None)


async def test_all_wants_everybody_who_was_asked_to_approve(database: Database) -> None:
    gate = await under_review(database, quorum="all")
    await review(database, QUINN, gate)
    await review(database, RITA, gate, "reject")
    with pytest.raises(Blocked, match="its quorum is 2 approving reviews, and 1 count"):
        await approve(database, gate)
    await review(database, RITA, gate)
    assert (await approve(database, gate)).approval_status == "approved"


@pytest.mark.parametrize(
    ("reviewer", "criteria", "reason"),
    [
        (JAMES, {}, "author"),
        # under a token of another name and role the author is the author still
        (Principal("jimmy's laptop", Role.REVIEWER, "james-dev"), {}, "author"),
        (JAMES, {"allow_self_review": True}, None),
        (MARY, {}, None),
    ],
    ids=["the author", "another token", "allowed", "a stranger to the work"],
)
async def test_authors_do_not_count(
    database: Database, reviewer: Principal, criteria: dict[str, Any], reason: str | None
) -> None:
    gate = await under_review(database, ["james-dev", "mary"], quorum=1, **criteria)
    await review(database, reviewer, gate)
    name = reviewer.agent_id or reviewer.name
    assert await exclusions(database, gate.gate_id) == {name: reason}
    if reason is not None:
        with pytest.raises(Blocked, match=f"0 count; these do not count: {name}"):
            await approve(database, gate)
        assert (await row_of(database, quality_gates, gate_id=gate.gate_id)).approval_status == "in_review"
    else:
        await approve(database, gate)


async def test_a_review_from_the_session_that_handed_the_work_in_does_not_count(database: Database) -> None:
    shared = Principal("shared", Role.ADMIN, token_id="token-1")
    gate = await under_review(database, ["reviewing"], quorum=1, work={"who": shared})
    await review(database, Principal("reviewing", Role.REVIEWER, token_id="token-1"), gate)
    assert await exclusions(database, gate.gate_id) == {"reviewing": "author_session"}
    await review(database, Principal("reviewing", Role.REVIEWER, token_id="token-2"), gate)
    assert await exclusions(database, gate.gate_id) == {"reviewing": None}


async def test_an_unasked_review_is_kept_and_does_not_count_where_others_are_asked(database: Database) -> None:
    gate = await under_review(database, ["rita"], quorum=1)
    await review(database, MARY, gate)
    assert await exclusions(database, gate.gate_id) == {"mary": "not_asked"}
    await run(database, assign_reviewers, PM, AssignReviewers(gate.gate_id, gate.version, ["mary"]))
    current = await row_of(database, quality_gates, gate_id=gate.gate_id)
    await approve(database, current)
    assert await exclusions(database, gate.gate_id) == {"mary": None}


@pytest.mark.parametrize(
    ("theirs", "criteria", "reason"),
    [
        (CLAUDE, {}, "author_model_family"),
        (CLAUDE, {"allow_same_model_family": True}, None),
        (GLM, {}, None),
    ],
)
async def test_a_model_of_the_authors_family_does_not_count(
    database: Database, theirs: Any, criteria: dict[str, Any], reason: str | None
) -> None:
    """What counts is the model that the reviewer worked with, also where it is told only after the review."""
    gate = await under_review(database, quorum=1, work={"model": (CLAUDE[0], "claude-opus-4")}, **criteria)
    await review(database, QUINN, gate)
    assert await exclusions(database, gate.gate_id) == {"quinn-qa": None}
    other = await an_unrelated_task(database)
    await worked_with(database, "quinn-qa", other, theirs)
    if reason is None:
        await approve(database, gate)
    else:
        with pytest.raises(Blocked, match="these do not count: quinn-qa"):
            await approve(database, gate)
        # a refusal writes nothing, not even why: the next review does
        await review(database, QUINN, gate)
    assert await exclusions(database, gate.gate_id) == {"quinn-qa": reason}


async def an_unrelated_task(database: Database) -> UUID:

    task = await a_running_task(database, "quinn-qa")
    task_id: UUID = task.task_id
    return task_id


async def test_the_quorum_itself_gives_the_verdict(database: Database) -> None:
    gate = await under_review(database, verdict_by="quorum", quorum=2)
    assert (await review(database, QUINN, gate, score=Decimal(9))).approval_status == "in_review"
    decided = await review(database, RITA, gate, score=Decimal(8))
    assert (decided.approval_status, decided.quality_score, decided.decision_id) == ("approved", Decimal("8.50"), None)
    assert decided.pm_decision == "By quorum: 2 of 2 needed approvals, 0 rejections, 0 requests for a revision."
    assert decided.verdict_evidence_hash == decided.evidence_hash == gate.evidence_hash
    assert [event[:3] for event in await events_of(database, gate.gate_id)] == [
        ("created", None, "pending"),
        ("opened", "pending", "in_review"),
        ("reviewed", None, None),
        ("reviewed", None, None),
        ("approved", "in_review", "approved"),
    ]


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        (("approve", "request_revision"), "requires_revision"),
        (("reject", "reject"), "rejected"),
        (("reject", "request_revision"), "requires_revision"),
    ],
)
async def test_objections_decide_where_the_quorum_cannot_stand(
    database: Database, verdicts: tuple[str, str], outcome: str
) -> None:
    gate = await under_review(database, verdict_by="quorum")
    await review(database, QUINN, gate, verdicts[0])
    assert (await review(database, RITA, gate, verdicts[1])).approval_status == outcome


async def test_a_quorum_that_cannot_stand_without_objections_is_left_to_a_human(database: Database) -> None:
    gate = await under_review(database, ["james-dev"], verdict_by="quorum", escalate_to="the leads")
    waiting = await review(database, JAMES, gate)
    assert (waiting.approval_status, waiting.escalation_required, waiting.escalated_to) == (
        "in_review", True, "the leads",
    )  # fmt: skip
    assert waiting.escalation_reason == (
        "All reviews of 'Review' are in, and 0 of 1 needed approvals count. These do not count: james-dev. "
        "Assign more reviewers, give the verdict, or waive the gate."
    )


async def test_the_least_score_is_enforced(database: Database) -> None:
    gate = await under_review(database, quorum=1, min_score=7)
    await review(database, RITA, gate, score=Decimal("6.5"))
    with pytest.raises(Blocked, match=r"a score of at least 7, and its score is 6\.50"):
        await approve(database, gate)
    with pytest.raises(Blocked, match=r"a score of at least 7, and its score is 6\.9"):
        await approve(database, gate, quality_score=Decimal("6.9"))
    assert (await approve(database, gate, quality_score=Decimal(7))).quality_score == Decimal(7)


async def test_the_least_score_wants_a_score_also_without_a_quorum(database: Database) -> None:
    gate = await under_review(database, [], min_score=1)
    with pytest.raises(Blocked, match="and no score was given"):
        await approve(database, gate)
    # a rejection needs none
    rejected = await run(database, decide_gate, PM, a_verdict(gate, ApprovalStatus.REJECTED), SEALER)
    assert rejected.approval_status == "rejected"


async def test_a_waiver_approves_with_its_reason_and_its_decision(database: Database) -> None:
    gate = await under_review(database, quorum=2, min_score=9)
    waiver = a_verdict(gate, pm_decision="The demo is today.", waives=True)
    waived = await run(database, decide_gate, PM, waiver, SEALER)
    assert (waived.approval_status, waived.waived_by, waived.waiver_reason, waived.pm_decision) == (
        "approved", "paula", "The demo is today.", "The demo is today.",
    )  # fmt: skip
    decision = await row_of(database, decisions, decision_id=waived.decision_id)
    assert (decision.decision_type, decision.outcome) == ("quality_gate", "waived: The demo is today.")
    assert (await events_of(database, gate.gate_id))[-1] == ("waived", "in_review", "approved", 3)


async def test_a_waiver_without_a_reason_or_by_an_agent_in_a_persons_place_is_refused(database: Database) -> None:
    gate = await under_review(database, verdict_by="human", quorum=2)
    with pytest.raises(InvalidInput) as caught:
        await run(database, decide_gate, PM, a_verdict(gate, pm_decision=" ", waives=True), SEALER)
    assert caught.value.field == "input.reason"
    with pytest.raises(Forbidden):
        await run(database, decide_gate, JOHN, a_verdict(gate, waives=True), SEALER)
    assert await count(database, decisions) == 0


async def test_an_approval_is_reopened_by_nobody(database: Database) -> None:
    gate = await under_review(database, [])
    approved = await approve(database, gate)
    with pytest.raises(IllegalTransition, match="nothing, it is final"):
        await run(database, open_gate, ADMIN, OpenGate(gate.gate_id, approved.version))


@pytest.mark.parametrize(
    "criteria",
    [{"quorum": 0}, {"quorum": "some"}, {"quorum": 1.5}, {"verdict_by": "nobody"}, {"min_score": 11}],
)
async def test_criteria_that_say_nothing_are_refused(database: Database, criteria: dict[str, Any]) -> None:
    execution = await an_execution(database)
    command = CreateGate(execution.execution_id, "Review", GateType.SECURITY_CHECK, criteria)
    with pytest.raises(InvalidInput, match="does not fit its JSON Schema"):
        await run(database, create_gate, PM, command)
    assert await count(database, quality_gates) == 0


async def test_a_review_that_one_agent_is_asked_for_is_offered_to_no_other(database: Database) -> None:
    gate = await under_review(database, [])
    request = await a_request(database, "review", gate.workflow_execution_id, gate.gate_id)
    statement = tasks.update().where(tasks.c.task_id == request.task_id).values(required_agent_id="quinn-qa")
    await database.transact(lambda session: session.execute(statement))
    assert await run(database, claim_task, ADMIN, ClaimTask("james-dev")) is None
    with pytest.raises(Blocked, match="is for quinn-qa alone"):
        await run(database, claim_task, ADMIN, ClaimTask("james-dev", request.task_id))
    assert (await run(database, claim_task, ADMIN, ClaimTask("quinn-qa"))).task_id == request.task_id
