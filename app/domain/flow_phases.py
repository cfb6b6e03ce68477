"""The phases of a template that steer: branch, loop, wait and sub-workflow. What they do, the engine says.

Jumps lead forward only, so that a workflow comes to its end: back go a loop, at most `max_rounds` times, and a gate.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.domain.expressions import ITEM_VARIABLES, Expression, Gives, compile_expression
from app.domain.template_parts import (
    Condition,
    ItemValue,
    Join,
    JsonSchema,
    Moment,
    Name,
    Part,
    Phase,
    Seconds,
    Value,
    Where,
    fault,
)

CASES_MAX = 50
ROUNDS_MAX = 1_000
FOREACH_MAX = 200
"""Workflows that one phase starts."""
Key = Annotated[str, Field(min_length=1, max_length=100)]
SIGNAL_PATTERN = r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$"


class Case(Part):
    """One way on: taken when the condition holds and none before it did."""

    when: Condition
    next: Name


class BranchPhase(Phase):
    """Goes on with the first case whose condition holds; else with `otherwise`, and without that as any phase does."""

    kind: Literal["branch"]
    cases: tuple[Case, ...] = Field(min_length=1, max_length=CASES_MAX)
    otherwise: Name | None = None

    def jumps(self) -> list[tuple[Where, str]]:
        """Beside the usual ones, those of its cases."""
        cases = [(("cases", index, "next"), case.next) for index, case in enumerate(self.cases)]
        return super().jumps() + cases + ([(("otherwise",), self.otherwise)] if self.otherwise else [])

    def expressions(self) -> list[tuple[Where, Expression]]:
        """The conditions."""
        return [
            (("cases", index, "when"), compile_expression(case.when, Gives.BOOLEAN))
            for index, case in enumerate(self.cases)
        ]


class LoopPhase(Phase):
    """Stands after the phases that it repeats: goes back to `back_to` `while` a condition holds, or `until` one does.

    They are done at most `max_rounds` times in a row; when the condition asks for another round, the phase fails.
    """

    kind: Literal["loop"]
    while_: Condition | None = Field(default=None, alias="while")
    until: Condition | None = None
    back_to: Name
    max_rounds: int = Field(ge=1, le=ROUNDS_MAX)

    @model_validator(mode="after")
    def _one_condition(self) -> "LoopPhase":
        if (self.while_ is None) == (self.until is None):
            raise fault("one_condition", "has both or neither of while and until", "give one of them")
        return self

    @property
    def condition(self) -> Expression:
        """`while`, or `until`."""
        return compile_expression(self.while_ or self.until or "", Gives.BOOLEAN)

    def expressions(self) -> list[tuple[Where, Expression]]:
        """The condition."""
        return [(("while" if self.while_ else "until",), self.condition)]


class WaitPhase(Phase):
    """Waits for so many `seconds`, `until` a moment, or for a `signal`, whose JSON is its result.

    A signal fits `schema`. When none came after `timeout_seconds`, `on_timeout` goes on; without it the phase failed.
    """

    kind: Literal["wait"]
    seconds: Seconds | None = None
    until: Moment | None = None
    signal: str | None = Field(default=None, pattern=SIGNAL_PATTERN, max_length=100)
    payload_schema: JsonSchema | None = Field(default=None, alias="schema")
    on_timeout: Name | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> "WaitPhase":
        if [self.seconds, self.until, self.signal].count(None) != 2:
            raise fault(
                "one_thing", "waits for nothing, or for several things", "give one of seconds, until and signal"
            )
        if self.signal is None and self.payload_schema is not None:
            raise fault("schema", "has a schema but no signal", "leave it out", ("schema",))
        if self.on_timeout is not None and self.timeout_seconds is None:
            raise fault("on_timeout", "has no time-out", "give timeout_seconds too", ("on_timeout",))
        return self

    def jumps(self) -> list[tuple[Where, str]]:
        """Beside the usual ones, that of its time-out."""
        return super().jumps() + ([(("on_timeout",), self.on_timeout)] if self.on_timeout else [])

    @property
    def moment(self) -> Expression | None:
        """`until`."""
        return None if self.until is None else compile_expression(self.until, Gives.MOMENT)

    def expressions(self) -> list[tuple[Where, Expression]]:
        """The moment."""
        return [] if self.moment is None else [(("until",), self.moment)]


class WorkflowPhase(Phase):
    """Another workflow, as an execution of its own; its output is the result.

    It is given `input`, and what the expressions of `input_from` give. With `foreach`, which gives a list, one is
    started for each item (`item` and `index` in `input_from`), and the result is the list of their outputs, null for
    one that did not complete; `join` says how many must complete, the rest is cancelled then.
    """

    kind: Literal["workflow"]
    workflow: Name
    input: dict[str, Any] = Field(default_factory=dict)
    input_from: dict[Key, ItemValue] = Field(default_factory=dict, max_length=100)
    uses: tuple[Name, ...] = ()
    foreach: Value | None = None
    join: Join = "all"

    @model_validator(mode="after")
    def _compiles(self) -> "WorkflowPhase":
        if self.foreach is None and self.join != "all":
            raise fault("join", "has join but no foreach", "there is one workflow to wait for", ("join",))
        return self

    def values(self) -> dict[str, Expression]:
        """The expressions of the input."""
        return {name: compile_expression(text, Gives.VALUE, ITEM_VARIABLES) for name, text in self.input_from.items()}

    @property
    def items(self) -> Expression | None:
        """`foreach`."""
        return None if self.foreach is None else compile_expression(self.foreach, Gives.VALUE)

    def expressions(self) -> list[tuple[Where, Expression]]:
        """`foreach`, and those of the input."""
        listed: list[tuple[Where, Expression]] = [] if self.items is None else [(("foreach",), self.items)]
        return listed + [(("input_from", name), expression) for name, expression in self.values().items()]
