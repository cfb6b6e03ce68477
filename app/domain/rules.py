"""Rules that several aggregates share: ranges, required texts, bounded JSON.

A rule is a value: the services check it, the tables turn it into a CHECK constraint, the SDL names it in a description.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.domain.errors import InvalidInput

TEXT_MAX = 100_000
NAME_MAX = 200
JSON_MAX_DEPTH = 32
JSON_MAX_NODES = 20_000
ITEMS_MAX = 1_000

Number = int | float | Decimal


@dataclass(frozen=True)
class Range:
    """A closed interval; an open end is None."""

    low: Number
    high: Number | None = None

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}" if self.high is not None else f"{self.low} or more"

    def check(self, field: str, value: Number | None) -> None:
        """Raise `InvalidInput` unless `value` is None or in the interval; NaN and infinities are outside."""
        if value is None:
            return
        inside = value == value and value >= self.low and (self.high is None or value <= self.high)
        if not inside or value in (float("inf"), float("-inf")):
            raise InvalidInput(f"{field} must be {self}, it is {value}. Nothing was written.", f"input.{field}")


TEN_POINT = Range(1, 10)
SCORE = Range(Decimal(0), Decimal(10))
PERCENT = Range(Decimal(0), Decimal(100))
NOT_NEGATIVE = Range(0)
INT32 = Range(0, 2**31 - 1)
INT64_LOW, INT64_HIGH = -(2**63), 2**63 - 1
MONEY = Range(Decimal(0), Decimal("99999999.999999"))


def required_text(field: str, value: str, longest: int = TEXT_MAX) -> str:
    """The text without surrounding space; `InvalidInput` when nothing is left, it is too long or has a NUL."""
    text = clean_text(field, value, longest).strip()
    if not text:
        raise InvalidInput(f"{field} must not be empty. Nothing was written.", f"input.{field}")
    return text


def clean_text(field: str, value: str, longest: int = TEXT_MAX) -> str:
    """The text itself; `InvalidInput` for what PostgreSQL cannot store (NUL, lone surrogates) or what is too long."""
    if len(value) > longest:
        raise InvalidInput(f"{field} is longer than {longest} characters. Nothing was written.", f"input.{field}")
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidInput(
            f"{field} contains characters that cannot be stored (NUL or lone surrogates). Nothing was written.",
            f"input.{field}",
        )
    return value


def bounded_json(field: str, value: Any) -> Any:
    """The value itself; `InvalidInput` when it nests deeper than 32, has over 20,000 nodes or unstorable text."""
    nodes, todo = 0, [(value, 0)]
    while todo:
        node, depth = todo.pop()
        nodes += 1
        if depth > JSON_MAX_DEPTH or nodes > JSON_MAX_NODES:
            raise InvalidInput(
                f"{field} is too large: at most {JSON_MAX_DEPTH} levels and {JSON_MAX_NODES} values are taken. "
                "Nothing was written.",
                f"input.{field}",
            )
        todo.extend((child, depth + 1) for child in _children(field, node))
    return value


def _children(field: str, node: Any) -> Sequence[Any]:
    if isinstance(node, Mapping):
        for key in node:
            clean_text(field, str(key))
        return list(node.values())
    if isinstance(node, str):
        clean_text(field, node)
        return ()
    if isinstance(node, float) and (node != node or node in (float("inf"), float("-inf"))):
        raise InvalidInput(f"{field} contains a number that JSON cannot carry. Nothing was written.", f"input.{field}")
    if isinstance(node, int) and not INT64_LOW <= node <= INT64_HIGH:
        raise InvalidInput(
            f"{field} contains an integer of more than 64 bits; send it as text. Nothing was written.",
            f"input.{field}",
        )
    return node if isinstance(node, (list, tuple)) else ()


def bounded_list(field: str, values: Sequence[Any], most: int = ITEMS_MAX) -> None:
    """Raise `InvalidInput` when there are more than `most` items."""
    if len(values) > most:
        raise InvalidInput(
            f"{field} has {len(values)} items, at most {most} are taken at once. Nothing was written.",
            f"input.{field}",
        )
