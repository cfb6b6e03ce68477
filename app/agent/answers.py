"""What a command printed on standard output, understood: a result, a decision, a verdict or a review."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from app.domain.decisions import DecisionType
from app.domain.quality_gates import GateType, ReviewVerdict

FENCE = re.compile(r"^```(?:json)?[ \t]*\n(.*)\n```$", re.DOTALL)

DECISION_SHAPE = (
    'a JSON object {"decision_type", "reasoning", "outcome", "confidence": 1-10} with, if wanted, "context_data", '
    '"agent_assignments", "resource_optimization", "learning_notes", "evidence": [{"interval_start", "interval_end", '
    '"agent_id" or "execution_id", "snapshot" (left out, the hub computes it from the metrics)}] and "quality_gates": '
    '[{"gate_name", "gate_type", "execution_id" (left out, the task\'s own), "validation_criteria", "reviewers": []}]'
)
VERDICT_SHAPE = (
    'a JSON object {"verdict": "approve" | "reject" | "request_revision", "reasoning", "outcome", "confidence": 1-10, '
    '"quality_score": 0-10, "improvement_suggestions"}'
)
REVIEW_SHAPE = 'a JSON object {"verdict": "approve" | "reject" | "request_revision", "score": 0-10, "feedback"}'


class UnusableAnswer(Exception):
    """The command's output is no answer to its task; the text says what is wrong and what was expected."""


@dataclass(frozen=True)
class ModelUse:
    """What one model did for a task, as its program told: tokens of all kinds, cost in US dollars, milliseconds."""

    model: str | None
    tokens: int | None
    cost: Decimal | None
    duration_ms: int | None


@dataclass(frozen=True)
class Output:
    """A command's output: the value that answers, the models that worked on it, and the session to resume."""

    value: Any
    models: tuple[ModelUse, ...] = ()
    session_id: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Figures that a decision rests on; times as RFC 3339, None as snapshot has the hub compute them."""

    interval_start: str
    interval_end: str
    agent_id: str | None
    execution_id: str | None
    snapshot: Any


@dataclass(frozen=True)
class WantedGate:
    """A gate that a decision asks for; None as execution is the task's own."""

    gate_name: str
    gate_type: GateType
    execution_id: str | None
    validation_criteria: Mapping[str, Any] | None
    reviewers: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """An answer to a question that has no gate."""

    decision_type: DecisionType
    reasoning: str
    outcome: str
    confidence: int
    context_data: Any = None
    agent_assignments: Mapping[str, Any] | None = None
    resource_optimization: Mapping[str, Any] | None = None
    learning_notes: str = ""
    evidence: tuple[Evidence, ...] = ()
    quality_gates: tuple[WantedGate, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """An answer to the question whether a gate is passed."""

    verdict: ReviewVerdict
    reasoning: str
    outcome: str
    confidence: int
    quality_score: Decimal | None = None
    improvement_suggestions: str = ""


@dataclass(frozen=True)
class Review:
    """One reviewer's recommendation on a gate."""

    verdict: ReviewVerdict
    score: Decimal | None = None
    feedback: str = ""


def read_output(text: str) -> Output:
    """The output's value: JSON as it is, Claude's JSON unwrapped, anything else as `{"text": …}`.

    Raises `UnusableAnswer` for JSON that cannot be passed on.
    """
    value = _json(text)
    if isinstance(value, Mapping) and value.get("type") == "result" and ("result" in value or "is_error" in value):
        return _claude(value)
    return Output({"text": text} if value is _NOT_JSON else value)


def read_decision(value: Any, question: Mapping[str, Any]) -> Decision:
    """The decision; its type is the question's where the answer names none. Raises `UnusableAnswer`."""
    reader = _Reader(value, "a decision", DECISION_SHAPE)
    asked = question.get("decision_type") or DecisionType.TASK_ASSIGNMENT
    answer = Decision(
        decision_type=reader.choice("decision_type", DecisionType, asked),
        reasoning=reader.text("reasoning"),
        outcome=reader.text("outcome"),
        confidence=reader.confidence(),
        context_data=reader.given("context_data", dict(question)),
        agent_assignments=reader.object("agent_assignments"),
        resource_optimization=reader.object("resource_optimization"),
        learning_notes=reader.text("learning_notes", required=False),
        evidence=tuple(_evidence(item) for item in reader.items("evidence")),
        quality_gates=tuple(_wanted_gate(item) for item in reader.items("quality_gates")),
    )
    reader.finish()
    return answer


def read_verdict(value: Any) -> Verdict:
    """The verdict on a gate. Raises `UnusableAnswer`."""
    reader = _Reader(value, "a gate's verdict", VERDICT_SHAPE)
    answer = Verdict(
        verdict=reader.choice("verdict", ReviewVerdict),
        reasoning=reader.text("reasoning"),
        outcome=reader.text("outcome"),
        confidence=reader.confidence(),
        quality_score=reader.score("quality_score"),
        improvement_suggestions=reader.text("improvement_suggestions", required=False),
    )
    reader.finish()
    return answer


def read_review(value: Any) -> Review:
    """The review of a gate. Raises `UnusableAnswer`."""
    reader = _Reader(value, "a review", REVIEW_SHAPE)
    answer = Review(
        verdict=reader.choice("verdict", ReviewVerdict),
        score=reader.score("score"),
        feedback=reader.text("feedback", required=False),
    )
    reader.finish()
    return answer


def _evidence(item: "_Reader") -> Evidence:
    return Evidence(
        item.moment("interval_start"),
        item.moment("interval_end"),
        item.text("agent_id", required=False) or None,
        item.text("execution_id", required=False) or None,
        item.value.get("snapshot"),
    )


def _wanted_gate(item: "_Reader") -> WantedGate:
    return WantedGate(
        item.text("gate_name"),
        item.choice("gate_type", GateType),
        item.text("execution_id", required=False) or None,
        item.object("validation_criteria"),
        item.names("reviewers"),
    )


@dataclass
class _Reader:
    """Reads the fields of an answer and collects every fault, so that all are told at once.

    `place` is where the object stands in the answer, such as `evidence.0.`.
    """

    value: Any
    kind: str
    shape: str
    faults: list[str] = field(default_factory=list)
    place: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.value, Mapping):
            raise UnusableAnswer(f"The answer to {self.kind} task must be {self.shape}; it is {_brief(self.value)}.")

    def given(self, name: str, default: Any) -> Any:
        value = self.value.get(name)
        return default if value is None else value

    def text(self, name: str, *, required: bool = True) -> str:
        value = self.value.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or (required and not value.strip()):
            self._fault(f"{name} must be a text{' that is not empty' if required else ''}, it is {_brief(value)}")
            return ""
        return value

    def object(self, name: str) -> Mapping[str, Any] | None:
        value = self.value.get(name)
        if value is not None and not isinstance(value, Mapping):
            self._fault(f"{name} must be an object, it is {_brief(value)}")
            return None
        return value

    def moment(self, name: str) -> str:
        """A point in time with its zone, RFC 3339, as it was written."""
        value = self.value.get(name)
        try:
            if isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None:
                return value
        except ValueError:
            pass
        self._fault(f"{name} must be a time such as 2026-11-22T19:12:00Z, it is {_brief(value)}")
        return ""

    def items(self, name: str) -> "list[_Reader]":
        """Readers of the objects in a list, whose faults are told with the others."""
        value = self.given(name, [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self._fault(f"{name} must be a list of objects, it is {_brief(value)}")
            return []
        return [
            _Reader(item, self.kind, self.shape, self.faults, f"{self.place}{name}.{index}.")
            for index, item in enumerate(value)
        ]

    def names(self, name: str) -> tuple[str, ...]:
        value = self.given(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fault(f"{name} must be a list of texts, it is {_brief(value)}")
            return ()
        return tuple(value)

    def choice(self, name: str, kind: Any, default: str | None = None) -> Any:
        value = self.given(name, default)
        try:
            return kind(value.lower() if isinstance(value, str) else value)
        except ValueError:
            names = ", ".join(kind)
            self._fault(f"{name} must be one of {names}; it is {_brief(value)}")
            return next(iter(kind))

    def confidence(self) -> int:
        value = self.value.get("confidence")
        if isinstance(value, bool) or value not in range(1, 11):
            self._fault(f"confidence must be a whole number from 1 to 10, it is {_brief(value)}")
            return 1
        return int(value)

    def score(self, name: str) -> Decimal | None:
        value = self.value.get(name)
        if value is None:
            return None
        score = _decimal(value)
        if score is None or not 0 <= score <= 10:
            self._fault(f"{name} must be a number from 0 to 10, it is {_brief(value)}")
            return None
        return score

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.place}{text}")

    def finish(self) -> None:
        if self.faults:
            faults = "; ".join(self.faults)
            raise UnusableAnswer(f"The answer to {self.kind} task cannot be used: {faults}. Expected: {self.shape}.")


_NOT_JSON = object()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json(text: str) -> Any:
    """The JSON value that the text is, `_NOT_JSON` for other text. Raises `UnusableAnswer` for what cannot be sent."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _NOT_JSON
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise UnusableAnswer(
            "The command's output is JSON, but holds what cannot be passed on: a number beyond all bounds, or half a "
            "character (a lone surrogate)."
        ) from None
    return value


def _claude(printed: Mapping[str, Any]) -> Output:
    """What `claude -p --output-format json` printed: its answer, and what each model used for it."""
    session_id = printed.get("session_id")
    session = session_id if isinstance(session_id, str) else None
    models = _models(printed)
    if printed.get("is_error"):
        why = printed.get("result") or printed.get("subtype") or "no reason given"
        return Output(None, models, session, error=f"Claude reported an error: {why}")
    answer = printed.get("result")
    return Output(_unwrapped(answer) if isinstance(answer, str) else answer, models, session)


def _unwrapped(answer: str) -> Any:
    """The JSON that a model wrote, bare or in a fenced block; else its text."""
    fenced = FENCE.match(answer.strip())
    value = _json(fenced.group(1) if fenced else answer)
    return {"text": answer} if value is _NOT_JSON else value


def _models(printed: Mapping[str, Any]) -> tuple[ModelUse, ...]:
    duration = _count(printed.get("duration_ms"))
    by_model = printed.get("modelUsage")
    if isinstance(by_model, Mapping) and by_model:
        return tuple(
            ModelUse(str(name), _tokens(use), _decimal(use.get("costUSD")), duration)
            for name, use in by_model.items()
            if isinstance(use, Mapping)
        )
    usage = printed.get("usage")
    cost = _decimal(printed.get("total_cost_usd"))
    if cost is None and not isinstance(usage, Mapping):
        return ()
    tokens = _tokens(usage) if isinstance(usage, Mapping) else None
    return (ModelUse(None, tokens, cost, duration),)


def _tokens(usage: Mapping[str, Any]) -> int | None:
    """All tokens, read, written and cached, in either of the two spellings that Claude's output has."""
    names: Sequence[tuple[str, str]] = (
        ("input_tokens", "inputTokens"),
        ("output_tokens", "outputTokens"),
        ("cache_creation_input_tokens", "cacheCreationInputTokens"),
        ("cache_read_input_tokens", "cacheReadInputTokens"),
    )
    counts = [_count(usage.get(snake, usage.get(camel))) for snake, camel in names]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    return round(value)


def _decimal(value: Any) -> Decimal | None:
    """The number exactly as it was written; None when it is none, or below zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:117]}…"
