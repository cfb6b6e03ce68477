"""What the parts of a workflow template are made of: names, faults with their place, expressions, what phases share."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jsonschema_rs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.domain.errors import InvalidInput
from app.domain.expressions import (
    ITEM_VARIABLES,
    VARIABLES,
    Expression,
    Gives,
    WrongExpression,
    compile_expression,
)
from app.domain.json_schemas import compile_schema
from app.domain.rules import bounded_json

NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
END = "end"
"""What `next` and its like name to end the workflow; no phase may have this name."""
SECONDS_MAX = 365 * 86_400
SCHEMA_MAX = 2_000
"""Values in a JSON Schema of a template."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=60)]
Capability = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX, allow_inf_nan=False)]
Where = tuple[str | int, ...]
"""Where a fault is: keys and indexes from the top, such as ("phases", 2, "task", "title")."""


def fault(code: str, what: str, hint: str, path: Where = ()) -> PydanticCustomError:
    """A fault in the form in which pydantic collects it."""
    return PydanticCustomError(code, "{what} ({hint})", {"what": what, "hint": hint, "path": path})


def _expression(gives: Gives, variables: tuple[str, ...] = VARIABLES) -> AfterValidator:
    def check(text: str) -> str:
        try:
            compile_expression(text, gives, variables)
        except WrongExpression as error:
            raise fault("expression", error.message, error.hint) from None
        return text

    return AfterValidator(check)


Condition = Annotated[str, _expression(Gives.BOOLEAN)]
Moment = Annotated[str, _expression(Gives.MOMENT)]
Value = Annotated[str, _expression(Gives.VALUE)]
ItemValue = Annotated[str, _expression(Gives.VALUE, ITEM_VARIABLES)]


def _schema(schema: Any) -> Any:
    try:
        compile_schema(bounded_json("schema", schema))
    except InvalidInput as error:
        raise fault("schema", error.message, "JSON Schema, without references to other documents") from None
    except jsonschema_rs.ValidationError as error:
        place = ".".join(map(str, error.instance_path))
        what = f"is no JSON Schema: {place + ': ' if place else ''}{error.message[:200]}"
        raise fault(
            "schema", what, "see json-schema.org; patterns have no look-around and no back-references"
        ) from None
    return schema


JsonSchema = Annotated[dict[str, Any], AfterValidator(_schema)]


class Part(BaseModel):
    """The base of every part of a template: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        for key in data if isinstance(data, Mapping) else ():
            if key not in known:
                raise fault("unknown_key", "unknown key", _hint_for(str(key), known), (str(key),))
        return data


def _hint_for(key: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


class Retry(Part):
    """A phase that failed is begun anew: at most `max_attempts` times in all, the first included.

    After the n-th failure it waits `backoff_seconds` times `factor` to the power of n - 1, at most `longest_seconds`.
    """

    max_attempts: int = Field(ge=2, le=100)
    backoff_seconds: float = Field(default=1, ge=0, le=86_400, allow_inf_nan=False)
    factor: float = Field(default=2, ge=1, le=10, allow_inf_nan=False)
    longest_seconds: Seconds = 3_600

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        return min(self.backoff_seconds * self.factor ** (failures - 1), self.longest_seconds)


class Phase(Part):
    """What every phase has: a name, unique in its template and stable between versions, and where it leads.

    `next` is a later phase or `end`; without it the phase after it in the list. After `timeout_seconds` of waiting the
    pass has failed. A pass that failed is begun anew as `retry` says, and then `on_failure`, a later phase, goes on.
    """

    name: Name
    next: Name | None = None
    timeout_seconds: Seconds | None = None
    retry: Retry | None = None
    on_failure: Name | None = None

    def jumps(self) -> list[tuple[Where, str]]:
        """Where the phase may lead instead of the next one: the place in it, and the phase's name or `end`."""
        return [((key,), name) for key in ("next", "on_failure") if (name := getattr(self, key)) is not None]

    def expressions(self) -> list[tuple[Where, Expression]]:
        """Its expressions, with their places."""
        return []


class Quorum(Part):
    """So many of them."""

    quorum: int = Field(ge=1, le=1_000)


def _join(value: Any) -> Any:
    if (
        value in ("all", "any")
        or (isinstance(value, Mapping) and set(value) == {"quorum"})
        or isinstance(value, Quorum)
    ):
        return value
    raise fault("join", "is no way to join", "all, any or {quorum: N}")


Join = Annotated[Literal["all", "any"] | Quorum, BeforeValidator(_join)]


def needed(join: "Literal['all', 'any'] | Quorum", total: int) -> int:
    """How many of so many must succeed."""
    if isinstance(join, Quorum):
        return join.quorum
    return total if join == "all" else 1
