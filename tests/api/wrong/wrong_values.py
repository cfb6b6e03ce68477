"""Values of the right GraphQL type that break a rule, derived from the rule of the field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import singledispatch
from typing import Any
from uuid import uuid4

from app.domain.errors import ErrorCode
from tests.api.wrong import rules
from tests.api.wrong.walking import Path
from tests.api.wrong.world import at

INVALID = (ErrorCode.INVALID_INPUT,)
UNKNOWN = (ErrorCode.NOT_FOUND,)
DEEPEST, MOST_NODES = 32, 20_000
LARGE_AMOUNTS = ("99999999999999999999", "-99999999999999999999")


@dataclass(frozen=True)
class Wrong:
    """A value that is refused, where it stands below the field, and with which code."""

    label: str
    value: Any
    codes: Sequence[ErrorCode] = INVALID
    below: Path = ()
    current_version: int | None = None


@dataclass(frozen=True)
class Place:
    """What a rule is asked about: the valid value, the field's GraphQL type, and ids of every kind."""

    value: Any
    type_name: str
    known: Mapping[str, str]


@singledispatch
def wrong_values(rule: Any, place: Place) -> Iterator[Wrong]:
    """What breaks the rule."""
    raise TypeError(f"no wrong values are known of {rule}")


@wrong_values.register
def _(rule: rules.Free, place: Place) -> Iterator[Wrong]:
    return iter(())


@wrong_values.register
def _(rule: rules.Text, place: Place) -> Iterator[Wrong]:
    if rule.required:
        yield from (Wrong("only space", blank, (rule.blank_code,)) for blank in (" ", " \t\n\r "))
        if not rule.or_empty:
            yield Wrong("empty", "", (rule.blank_code,))
    yield Wrong("one character too many", "x" * (rule.longest + 1))
    yield from _unstorable()


@wrong_values.register
def _(rule: rules.Sha256, place: Place) -> Iterator[Wrong]:
    yield from (Wrong("no hash", value) for value in ("", " ", "0" * 63, "0" * 65, "g" * 64))
    yield from _unstorable()


@wrong_values.register
def _(rule: rules.Shaped, place: Place) -> Iterator[Wrong]:
    yield from (Wrong(f"misshapen {value[:20]!r}", value) for value in rule.wrong)
    yield from _unstorable()


def _unstorable() -> Iterator[Wrong]:
    yield Wrong("NUL", "a\x00b")
    yield Wrong("a lone surrogate", "a\ud800b")


@wrong_values.register
def _(rule: rules.Identifier, place: Place) -> Iterator[Wrong]:
    malformed = ("", " ", "no-uuid", "7", f"{uuid4()}0", str(uuid4())[:-1], "james-dev", "x" * 10_000)
    yield from (Wrong(f"malformed {value[:10]!r}", value) for value in malformed)
    yield from _unstorable()
    yield Wrong("unknown", str(uuid4()), UNKNOWN)
    yield from (
        Wrong(f"of a {kind}", entity_id, UNKNOWN) for kind, entity_id in place.known.items() if kind != rule.kind
    )


@wrong_values.register
def _(rule: rules.AgentName, place: Place) -> Iterator[Wrong]:
    malformed = ("", " ", "james", "James-Dev", "james_dev", "james-dev\n", " james-dev", "-dev", "a-" + "b" * 99)
    yield from (Wrong(f"malformed {value[:12]!r}", value) for value in (*malformed, place.known["task"].upper()))
    yield from _unstorable()
    if rule.known:
        yield Wrong("unknown", "nobody-dev", UNKNOWN)


@wrong_values.register
def _(rule: rules.Number, place: Place) -> Iterator[Wrong]:
    beyond = [end for end in (_below(rule), _above(rule)) if end is not None]
    far = LARGE_AMOUNTS if place.type_name == "Decimal" else ()
    for value in (*beyond, *map(Decimal, far)):
        if place.type_name in ("Int", "BigInt") and not -(2**31) <= value < 2**31:
            continue  # what the type itself refuses
        if (rule.low is not None and value < rule.low) or (rule.high is not None and value > rule.high):
            yield Wrong(f"out of range {value}", as_type(value, place.type_name))


def _below(rule: rules.Number) -> Decimal | None:
    return rule.low - rule.step if rule.low is not None else None


def _above(rule: rules.Number) -> Decimal | None:
    return rule.high + rule.step if rule.high is not None else None


def as_type(value: Decimal, type_name: str) -> Any:
    """The number as JSON has it for this type."""
    if type_name == "Decimal":
        return str(value)
    return float(value) if type_name == "Float" else int(value)


@wrong_values.register
def _(rule: rules.Json, place: Place) -> Iterator[Wrong]:
    if rule.is_object:
        others: Sequence[Any] = ("text", 7, 0, True, False, [], [{}], "")
        yield from (Wrong(f"no object {value!r}", value) for value in others)
    yield Wrong("too deep", nested(DEEPEST + 1))
    yield Wrong("far too deep", nested(200))
    yield Wrong("too many nodes", {"a": [0] * (MOST_NODES - 1)})
    yield Wrong("NUL", {"a": "a\x00b"})
    yield Wrong("NUL in a key", {"a\x00b": 1})
    yield Wrong("a lone surrogate", {"a": "a\ud800b"})
    yield Wrong("a long text", {"a": "x" * (rules.WHOLE + 1)})
    yield Wrong("an integer of more than 64 bits", {"a": 2**63})
    yield from (Wrong(f"against its schema {str(value)[:30]}", value) for value in rule.wrong)


def nested(depth: int) -> Any:
    """An object so many levels deep, of which the innermost is a number."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@wrong_values.register
def _(rule: rules.Items, place: Place) -> Iterator[Wrong]:
    if rule.least:
        yield Wrong("no items", [])
    yield Wrong("one item too many", copies(rule, place.value[0], rule.most + 1))
    if rule.item is not None:
        inner = replace(place, value=place.value[0])
        for wrong in wrong_values(rule.item, inner):
            yield replace(wrong, label=f"item {wrong.label}", below=(0, *wrong.below))


def copies(rule: rules.Items, item: Any, count: int) -> list[Any]:
    """So many items like this one."""
    return [{**item, **{name: f"{name} {n}" for name in rule.unlike}} if rule.unlike else item for n in range(count)]


@wrong_values.register
def _(rule: rules.Choice, place: Place) -> Iterator[Wrong]:
    yield from (Wrong(f"refused {value}", value) for value in rule.refused)


@wrong_values.register
def _(rule: rules.Moment, place: Place) -> Iterator[Wrong]:
    yield from (Wrong(f"away by {delta}", at(days=delta.days, seconds=delta.seconds)) for delta in rule.refused)


@wrong_values.register
def _(rule: rules.Version, place: Place) -> Iterator[Wrong]:
    current: int = place.value
    for version in (current - 1, current + 1, 0, -1, 2**31 - 1, -(2**31)):
        label = "stale" if version < current else "future"
        yield Wrong(f"{label} {version}", version, (ErrorCode.STALE_VERSION,), current_version=current)


@singledispatch
def just_right(rule: Any, place: Place) -> Iterator[Any]:
    """The last values that the rule takes: they prove that what is beyond them is refused for the right reason."""
    return iter(())


@just_right.register
def _(rule: rules.Text, place: Place) -> Iterator[Any]:
    if rule.blank_code is ErrorCode.INVALID_INPUT:
        yield "x" * rule.longest
        if not rule.required or rule.or_empty:
            yield ""


@just_right.register
def _(rule: rules.Number, place: Place) -> Iterator[Any]:
    yield from (as_type(end, place.type_name) for end in (rule.low, rule.high) if end is not None)


@just_right.register
def _(rule: rules.Json, place: Place) -> Iterator[Any]:
    if not rule.wrong:
        yield nested(DEEPEST)
        yield {"a": [0] * (MOST_NODES - 2)}


@just_right.register
def _(rule: rules.Items, place: Place) -> Iterator[Any]:
    if rule.full:
        yield copies(rule, place.value[0], rule.most)
