"""What a command prints is understood as an answer, or refused with what was expected."""

import json
from decimal import Decimal
from typing import Any

import pytest

from app.agent.answers import (
    Evidence,
    ModelUse,
    Output,
    Review,
    UnusableAnswer,
    Verdict,
    WantedGate,
    read_decision,
    read_output,
    read_review,
    read_verdict,
)
from app.domain.decisions import DecisionType
from app.domain.quality_gates import GateType, ReviewVerdict

CLAUDE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "duration_ms": 5_120,
    "duration_api_ms": 4_000,
    "num_turns": 3,
    "result": '{"done": true}',
    "session_id": "0190c0de-0000-7000-8000-000000000001",
    "total_cost_usd": 0.0123456,
    "usage": {
        "input_tokens": 4,
        "cache_creation_input_tokens": 1_000,
        "cache_read_input_tokens": 20_000,
        "output_tokens": 600,
    },
    "modelUsage": {
        "claude-sonnet-4": {
            "inputTokens": 4,
            "outputTokens": 590,
            "cacheReadInputTokens": 20_000,
            "cacheCreationInputTokens": 1_000,
            "costUSD": 0.0123,
        },
        "claude-haiku": {"inputTokens": 100, "outputTokens": 10, "costUSD": 0.0000456},
    },
}


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ('{"findings": 3}', {"findings": 3}),
        ("[1, 2]", [1, 2]),
        ("7\n", 7),
        ("null", None),
        ('"a text"', "a text"),
        ("plain words\n", {"text": "plain words\n"}),
        ("", {"text": ""}),
        ('{"cut": ', {"text": '{"cut": '}),
        ('{"x": NaN}', {"text": '{"x": NaN}'}),
        ('{"type": "result"}', {"type": "result"}),
        ("[" * 100_000, {"text": "[" * 100_000}),
    ],
)
def test_output_is_json_where_it_can_be_and_text_otherwise(printed: str, value: Any) -> None:
    assert read_output(printed) == Output(value)


def test_claudes_json_is_unwrapped_with_each_models_tokens_and_cost() -> None:
    output = read_output(json.dumps(CLAUDE))
    assert output.value == {"done": True}
    assert output.session_id == CLAUDE["session_id"]
    assert output.error is None
    assert output.models == (
        ModelUse("claude-sonnet-4", 21_594, Decimal("0.0123"), 5_120),
        ModelUse("claude-haiku", 110, Decimal("0.0000456"), 5_120),
    )


def test_without_usage_by_model_the_total_belongs_to_one_unnamed_model() -> None:
    printed = {name: value for name, value in CLAUDE.items() if name != "modelUsage"}
    assert read_output(json.dumps(printed)).models == (ModelUse(None, 21_604, Decimal("0.0123456"), 5_120),)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Done as asked.", {"text": "Done as asked."}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('  ```\n{"a": 1}\n```\n', {"a": 1}),
        ('See: ```json\n{"a": 1}\n```', {"text": 'See: ```json\n{"a": 1}\n```'}),
    ],
)
def test_a_models_answer_may_be_fenced(answer: str, value: Any) -> None:
    assert read_output(json.dumps({**CLAUDE, "result": answer})).value == value


def test_an_error_of_claude_keeps_what_it_cost() -> None:
    output = read_output(json.dumps({**CLAUDE, "is_error": True, "result": "Credit balance is too low"}))
    assert output.error == "Claude reported an error: Credit balance is too low"
    assert len(output.models) == 2


@pytest.mark.parametrize("printed", ['{"x": 1e999}', '"\\ud800"'])
def test_json_that_cannot_be_passed_on_is_refused(printed: str) -> None:
    with pytest.raises(UnusableAnswer, match="cannot be passed on"):
        read_output(printed)


DECISION = {"decision_type": "escalation", "reasoning": "1. …", "outcome": "Go.", "confidence": 8}
QUESTION = {"question": "Go?", "decision_type": "resource_allocation", "context": {"x": 1}}


def test_a_decision_is_read_with_its_question_as_context() -> None:
    answer = read_decision(DECISION, QUESTION)
    assert answer.decision_type is DecisionType.ESCALATION
    assert (answer.reasoning, answer.outcome, answer.confidence) == ("1. …", "Go.", 8)
    assert answer.context_data == QUESTION
    assert answer.agent_assignments is None


def test_a_decision_without_a_type_has_that_of_its_question() -> None:
    answer = read_decision({key: value for key, value in DECISION.items() if key != "decision_type"}, QUESTION)
    assert answer.decision_type is DecisionType.RESOURCE_ALLOCATION


EVIDENCE = {"interval_start": "2026-11-22T19:00:00Z", "interval_end": "2026-11-22T20:00:00Z", "agent_id": "james-dev"}
GATE = {"gate_name": "Design", "gate_type": "technical_review"}


def test_a_decision_may_bring_evidence_and_ask_for_gates() -> None:
    given = {"evidence": [EVIDENCE, {**EVIDENCE, "agent_id": None, "execution_id": "e", "snapshot": {"cpu": 3}}]}
    gates = [GATE, {**GATE, "execution_id": "e", "validation_criteria": {"min_score": 7}, "reviewers": ["mary"]}]
    answer = read_decision({**DECISION, **given, "quality_gates": gates}, QUESTION)
    hour = (EVIDENCE["interval_start"], EVIDENCE["interval_end"])
    assert answer.evidence == (Evidence(*hour, "james-dev", None, None), Evidence(*hour, None, "e", {"cpu": 3}))
    assert answer.quality_gates == (
        WantedGate("Design", GateType.TECHNICAL_REVIEW, None, None, ()),
        WantedGate("Design", GateType.TECHNICAL_REVIEW, "e", {"min_score": 7}, ("mary",)),
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"confidence": 11}, "confidence must be a whole number from 1 to 10, it is 11"),
        ({"confidence": 0}, "confidence must be a whole number from 1 to 10, it is 0"),
        ({"confidence": 7.5}, "confidence must be a whole number from 1 to 10, it is 7.5"),
        ({"confidence": True}, "confidence must be a whole number from 1 to 10, it is true"),
        ({"confidence": "8"}, 'confidence must be a whole number from 1 to 10, it is "8"'),
        ({"reasoning": "  "}, 'reasoning must be a text that is not empty, it is "  "'),
        ({"outcome": None}, "outcome must be a text that is not empty, it is null"),
        ({"decision_type": "whim"}, "decision_type must be one of task_assignment, quality_gate"),
        ({"agent_assignments": ["x"]}, 'agent_assignments must be an object, it is ["x"]'),
        ({"learning_notes": 3}, "learning_notes must be a text, it is 3"),
        ({"evidence": {}}, "evidence must be a list of objects, it is {}"),
        ({"evidence": [EVIDENCE, {}]}, "evidence.1.interval_start must be a time such as 2026-11-22T19:12:00Z, it is"),
        ({"evidence": [{**EVIDENCE, "interval_end": "2026-11-22T20:00:00"}]}, "evidence.0.interval_end must be a time"),
        ({"evidence": [{**EVIDENCE, "interval_end": "yesterday"}]}, "evidence.0.interval_end must be a time"),
        ({"quality_gates": [3]}, "quality_gates must be a list of objects, it is [3]"),
        (
            {"quality_gates": [{**GATE, "gate_type": "x"}]},
            "quality_gates.0.gate_type must be one of content",
        ),
        (
            {"quality_gates": [{**GATE, "reviewers": "mary"}]},
            "quality_gates.0.reviewers must be a list of texts",
        ),
    ],
)
def test_a_faulty_decision_says_what_was_expected(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(UnusableAnswer) as refusal:
        read_decision({**DECISION, **changes}, QUESTION)
    assert fault in str(refusal.value)
    assert 'Expected: a JSON object {"decision_type", "reasoning"' in str(refusal.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UnusableAnswer) as refusal:
        read_decision({}, {})
    assert [name in str(refusal.value) for name in ("reasoning must", "outcome must", "confidence must")] == [True] * 3


def test_a_text_is_no_decision() -> None:
    with pytest.raises(UnusableAnswer, match=r'must be a JSON object .* it is \{"text": "Yes"\}|cannot be used'):
        read_decision({"text": "Yes"}, QUESTION)
    with pytest.raises(UnusableAnswer, match="it is 7"):
        read_decision(7, QUESTION)


def test_a_verdict_is_read() -> None:
    given = {"verdict": "APPROVE", "reasoning": "r", "outcome": "o", "confidence": 9.0, "quality_score": 8.5}
    assert read_verdict(given) == Verdict(ReviewVerdict.APPROVE, "r", "o", 9, Decimal("8.5"), "")


@pytest.mark.parametrize("verdict", ["maybe", None, 3, ["approve"]])
def test_an_unknown_verdict_is_refused(verdict: Any) -> None:
    with pytest.raises(UnusableAnswer, match="verdict must be one of approve, reject, request_revision"):
        read_verdict({"verdict": verdict, "reasoning": "r", "outcome": "o", "confidence": 9})


def test_a_review_is_read() -> None:
    assert read_review({"verdict": "reject", "score": 3, "feedback": "f"}) == Review(
        ReviewVerdict.REJECT, Decimal(3), "f"
    )
    assert read_review({"verdict": "request_revision"}) == Review(ReviewVerdict.REQUEST_REVISION)


@pytest.mark.parametrize("score", [-1, 10.1, "high", True])
def test_a_score_is_from_0_to_10(score: Any) -> None:
    with pytest.raises(UnusableAnswer, match="score must be a number from 0 to 10"):
        read_review({"verdict": "approve", "score": score})
