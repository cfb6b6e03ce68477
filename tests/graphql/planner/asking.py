"""Filters over the world: conditions on every field with values that tell, and filters put together of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

from tests.graphql.planner.oracle import Facts, Filter

NOBODY = "00000000-0000-0000-0000-000000000000"


def any_filter(facts: Facts, random: Random, type_name: str, depth: int, relations: int) -> Filter:
    """A filter put together at random, within the limits."""
    made: dict[str, Any] = {}
    questions = facts.questions(type_name)
    for _ in range(random.choice((1, 1, 1, 2))):
        kind = random.choice(("and", "or", "not", "value", "value", "relation"))
        if depth and kind == "not":
            made[kind] = any_filter(facts, random, type_name, depth - 1, relations)
        elif depth and kind in ("and", "or"):
            made[kind] = [
                any_filter(facts, random, type_name, depth - 1, relations)
                for _ in range(random.choice((0, 1, 2, 2, 3)))
            ]
        else:
            name = random.choice(sorted(questions))
            related = facts.related(type_name, name)
            if related is None:
                made[name] = random.choice(list(conditions(facts, type_name, name, questions[name])))
            elif depth and relations and related[0] in facts.rows:
                part = any_filter(facts, random, related[0], depth - 1, relations - 1)
                made[name] = {random.choice(("some", "none", "every")): part} if related[1] else part
    return made


def conditions(facts: Facts, type_name: str, name: str, inputs: GraphQLInputObjectType) -> Iterator[Filter]:
    """Conditions on one value, with values that are there, nearly there, and not there."""
    type_ = facts.object(type_name).fields[name].type
    values: list[Any] = []
    for row in facts.rows[type_name].values():
        if row[name] is not None and row[name] not in values:
            values.append(row[name])
    near = [*values[:3], *_near(get_named_type(type_), [value for value in values if not isinstance(value, list)])]
    for op in inputs.fields:
        match op:
            case "isNull" | "isEmpty":
                yield from ({op: True}, {op: False})
            case "in":
                yield from ({op: []}, {op: near[:1]}, {op: near})
            case "containsAll" | "containsAny":
                yield from ({op: []}, *[{op: value} for value in values[:3]], {op: [NOBODY]})
            case "hasKey":
                keys = {key for value in values if isinstance(value, dict) for key in value}
                yield from ({op: key} for key in [*sorted(keys), "sleep", "noSuchKey", "a"])
            case "contains" if inputs.name == "JSONFilter":
                yield from ({op: part} for value in values[:3] for part in _parts(value))
            case _:
                yield from ({op: value} for value in near)


def _near(named: Any, values: Sequence[Any]) -> list[Any]:
    if isinstance(named, GraphQLEnumType):
        return list(named.values)
    match named.name:
        case "String":
            words = [value[1:4] for value in values[:2]] + [value[:2].swapcase() for value in values[:2]]
            return [*words, "", "%", "_", "zzz", "ÜNÏ"]
        case "Int" | "BigInt":
            return [*[value + 1 for value in values[:2]], 0, -1, 2**31 - 1]
        case "Float":
            return [99.5, 1e-9, -1e300]
        case "Decimal":
            # beyond the column's scale: nothing may be rounded on the way
            close = [str(Decimal(value) + Decimal("0.0000004")) for value in values[:2]]
            return [*close, "0", "-1.5", "1e30", "1E-30"]
        case "DateTime":
            close = [(datetime.fromisoformat(value) + timedelta(microseconds=1)).isoformat() for value in values[:2]]
            return [*close, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-03-01T13:00:00.123456+01:00"]
        case "ID":
            return [NOBODY]
        case "Boolean":
            return [True, False]
    return []


def _parts(value: Any) -> Iterator[Any]:
    """A JSON value, parts of it, and what is no part of it."""
    yield from (value, [], {}, 1, "sleep", True, {"noSuchKey": None})
    if isinstance(value, dict):
        yield from ({key: part} for key, part in value.items())
        yield from ({key: 0} for key in value)
    if isinstance(value, list):
        yield from ([item] for item in value[:2])
        yield from value[:2]
