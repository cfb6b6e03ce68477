"""The phase `gate` of a template: what is checked, who reviews, whose verdict it is."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.domain.agents import AGENT_ID_PATTERN, AgentRole
from app.domain.expressions import WrongExpression
from app.domain.gate_conditions import compile_condition
from app.domain.quality_gates import REVIEWERS_MAX, GateType
from app.domain.template_parts import Capability, Name, Part, Phase, Where, fault

AgentId = Annotated[str, Field(pattern=AGENT_ID_PATTERN, max_length=100)]
Reviewer = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Condition = Annotated[str, Field(min_length=1, max_length=1_000)]
"""A condition in CEL."""
Threshold = Annotated[float, Field(allow_inf_nan=False)]


class Check(Part):
    """An automated check. What is measured is one of these:

    - the number at the dotted path `measure` in the phases' results;
    - what `command` finds: an agent of `role` with `capabilities` runs it as a task, whose result is a number or holds
      it at the path `measure` (`measured` when left out);
    - nothing but what `criteria` says.

    It passes if the number keeps to its thresholds and `criteria`, in CEL, is true. With `when`, in CEL, it is left out
    where that is false. Both see `results` (by phase), `checks` (by name, those before it), `score` and `measured`.
    """

    name: str = Field(min_length=1, max_length=200)
    measure: str | None = Field(default=None, min_length=1, max_length=300)
    at_most: Threshold | None = None
    at_least: Threshold | None = None
    when: Condition | None = None
    criteria: Condition | None = None
    command: str | None = Field(default=None, min_length=1, max_length=2_000)
    role: AgentRole | None = None
    capabilities: tuple[Capability, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _some_threshold(self) -> "Check":
        if self.at_most is None and self.at_least is None and self.criteria is None:
            raise fault("threshold", "has no threshold", "give at_most, at_least, both, or criteria")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise fault("threshold", "can never pass", "at_least must not be above at_most")
        return self

    @model_validator(mode="after")
    def _some_measure(self) -> "Check":
        has_thresholds = self.at_most is not None or self.at_least is not None
        if has_thresholds and self.measure is None and self.command is None:
            raise fault("measure", "has thresholds and nothing that they are for", "give measure or command")
        if self.command is None and (self.role is not None or self.capabilities):
            raise fault("command", "names who runs a command, and has none", "give command")
        return self

    @model_validator(mode="after")
    def _conditions_compile(self) -> "Check":
        for name in ("when", "criteria"):
            _require_condition(getattr(self, name), (name,))
        return self


class GatePhase(Phase):
    """Work is held until the verdict.

    `reviewers` are roles, of which one agent each is asked by a review task, as are `reviewer_agents`, by id; `people`
    are asked by name. `quorum` is how many must approve, or all; without one it is enough that all have answered. The
    authors of the work do not count, nor do models of their family, unless that is allowed. `verdict_by: pm` asks the
    PM agent, when the quorum stands or all have answered; `human` waits for a person; `quorum` is the verdict itself.
    `min_score` and `criteria` (CEL, over `results`, `checks` and `score`) must hold for an approval.
    A verdict that is not there after `timeout_seconds` is escalated, to `escalate_to`, and still waited for.
    A verdict of "requires revision" goes back to the phase `on_revision`, at most `max_revisions` times; to the phase
    in `uses`, where there is only one and nothing else is said.
    """

    kind: Literal["gate"]
    gate_type: GateType
    title: str = Field(min_length=1, max_length=200)
    checks: tuple[Check, ...] = Field(default=(), max_length=100)
    reviewers: tuple[AgentRole, ...] = Field(default=(), max_length=len(AgentRole))
    reviewer_agents: tuple[AgentId, ...] = Field(default=(), max_length=REVIEWERS_MAX)
    people: tuple[Reviewer, ...] = Field(default=(), max_length=REVIEWERS_MAX)
    quorum: Annotated[int, Field(ge=1, le=REVIEWERS_MAX)] | Literal["all"] | None = None
    verdict_by: Literal["pm", "human", "quorum"] = "pm"
    allow_self_review: bool = False
    allow_same_model_family: bool = False
    min_score: Annotated[float, Field(ge=0, le=10)] | None = None
    criteria: tuple[Condition, ...] = Field(default=(), max_length=50)
    timeout_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    escalate_to: Reviewer | None = None
    uses: tuple[Name, ...] = ()
    on_revision: Name | None = None
    max_revisions: int = Field(default=3, ge=0, le=20)

    @model_validator(mode="before")
    @classmethod
    def _back_to_what_it_uses(cls, data: Any) -> Any:
        """What is stored says null where there is no way back, so that a later default changes nothing."""
        if not isinstance(data, Mapping) or "on_revision" in data:
            return data
        uses = data.get("uses")
        return {**data, "on_revision": uses[0]} if isinstance(uses, (list, tuple)) and len(uses) == 1 else data

    @model_validator(mode="after")
    def _distinct_reviewers(self) -> "GatePhase":
        if len(set(self.reviewers)) < len(self.reviewers):
            raise fault("reviewers", "a role is named twice", "one review is asked of each role", ("reviewers",))
        for name in ("reviewer_agents", "people"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise fault("reviewers", "somebody is named twice", "one review is asked of each", (name,))
        return self

    @model_validator(mode="after")
    def _quorum_can_stand(self) -> "GatePhase":
        asked = len(self.reviewers) + len(self.reviewer_agents) + len(self.people)
        wanted = self.quorum if isinstance(self.quorum, int) else 1
        if (self.quorum is not None or self.verdict_by == "quorum") and wanted > asked:
            hint = f"{asked} are asked; name more, or lower it"
            raise fault("quorum", "the quorum can never stand", hint, ("quorum",))
        return self

    @model_validator(mode="after")
    def _criteria_compile(self) -> "GatePhase":
        for index, text in enumerate(self.criteria):
            _require_condition(text, ("criteria", index))
        return self


def _require_condition(text: str | None, path: Where) -> None:
    if text is not None:
        try:
            compile_condition(text)
        except WrongExpression as error:
            raise fault("expression", error.message, error.hint, path) from None
