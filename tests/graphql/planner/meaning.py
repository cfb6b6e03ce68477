"""What filters and orders mean, in plain Python over rows that were read through the API."""

from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from tests.graphql.planner.conftest import Reader

Rowlike = Mapping[str, Any]
Filterlike = Mapping[str, Any]

FIELDS = (
    "taskId taskKind title description status executionId decisionId gateId phase phaseAttempt assignedAgentId "
    "requiredRole requiredCapabilities complexity dependsOn result attempts failures startedAt completedAt createdAt "
    "updatedAt durationMs assignedAgent { agentId agentRole status capabilities } "
    "gate { gateName approvalStatus qualityScore } dependencies { nodes { title complexity status } }"
)


async def all_tasks(reader: Reader) -> list[dict[str, Any]]:
    """Every task of the world with all that the tests ask about, newest first."""
    data = await reader.data(f"{{ tasks(first: 100) {{ nodes {{ {FIELDS} }} }} }}")
    found: list[dict[str, Any]] = data["tasks"]["nodes"]
    return found


def fits(row: Rowlike | None, asked: Filterlike) -> bool:
    """Whether a row fits a filter; none fits nothing."""
    return row is not None and all(_holds(row, name, value) for name, value in asked.items())


def _holds(row: Rowlike, name: str, asked: Any) -> bool:
    match name:
        case "and":
            return all(fits(row, part) for part in asked)
        case "or":
            return any(fits(row, part) for part in asked)
        case "not":
            return not fits(row, asked)
    value = row[name]
    if isinstance(value, Mapping) and "nodes" in value:
        return all(QUANTIFIERS[quantifier](value["nodes"], part) for quantifier, part in asked.items())
    if name in ("assignedAgent", "gate"):
        return fits(value, asked)
    return all(TESTS[operator](value, wanted) for operator, wanted in asked.items())


QUANTIFIERS: Mapping[str, Callable[[Sequence[Rowlike], Filterlike], bool]] = {
    "some": lambda rows, part: any(fits(row, part) for row in rows),
    "none": lambda rows, part: not any(fits(row, part) for row in rows),
    "every": lambda rows, part: all(fits(row, part) for row in rows),
}

TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value is not None and value == wanted,
    "ne": lambda value, wanted: value != wanted,
    "in": lambda value, wanted: value is not None and value in wanted,
    "lt": lambda value, wanted: value is not None and value < wanted,
    "lte": lambda value, wanted: value is not None and value <= wanted,
    "gt": lambda value, wanted: value is not None and value > wanted,
    "gte": lambda value, wanted: value is not None and value >= wanted,
    "contains": lambda value, wanted: (
        wanted.lower() in value.lower() if isinstance(value, str) else _is_part(wanted, value)
    ),
    "startsWith": lambda value, wanted: value is not None and value.lower().startswith(wanted.lower()),
    "isNull": lambda value, wanted: (value is None) is wanted,
    "containsAll": lambda value, wanted: set(wanted) <= set(value),
    "containsAny": lambda value, wanted: bool(set(wanted) & set(value)),
    "isEmpty": lambda value, wanted: (value == []) is wanted,
    "hasKey": lambda value, wanted: isinstance(value, Mapping) and wanted in value,
}


def _is_part(part: Any, value: Any) -> bool:
    if isinstance(part, Mapping):
        return isinstance(value, Mapping) and all(key in value and _is_part(part[key], value[key]) for key in part)
    return bool(part == value)


def ordered(rows: Sequence[Rowlike], terms: Sequence[Mapping[str, str]]) -> list[Rowlike]:
    """The rows in an order; ties by the id, in the direction of the last term."""

    def compare(one: Rowlike, other: Rowlike) -> int:
        for term in [*terms, {"field": "TASK_ID", "direction": terms[-1].get("direction", "ASC")}]:
            name = _camel(term["field"])
            found = _compare(one[name], other[name], term)
            if found:
                return found
        return 0

    return sorted(rows, key=cmp_to_key(compare))


def _compare(one: Any, other: Any, term: Mapping[str, str]) -> int:
    if one is None or other is None:
        nulls = 1 if term.get("nulls", "LAST") == "LAST" else -1
        return nulls * ((one is None) - (other is None))
    way = -1 if term.get("direction", "ASC") == "DESC" else 1
    return way * (int(one > other) - int(one < other))


def _camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)
