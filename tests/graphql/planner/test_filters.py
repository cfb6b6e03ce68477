"""Filters: for every field and operator, and for filters put together of them, what Python says of all rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.oracle import Facts, Filter, literal, read_facts

PAGE = "page: %s(first: 100, filter: %s) { nodes { id } totalCount }"
ROOTS = {
    "AgentState": "agents",
    "ApiToken": "apiTokens",
    "ModelAssignment": "modelAssignments",
    "PMDecisionContext": "decisions",
    "QualityGateExecution": "qualityGates",
    "ResourceMetrics": "resourceMetrics",
    "Task": "tasks",
    "WorkflowExecution": "workflows",
    "WorkflowTemplate": "workflowTemplates",
}
SEEDS = range(6)
FILTERS_A_SEED = 60


@pytest.fixture
async def facts(admin: Reader) -> Facts:
    return await read_facts(admin)


async def by_variable(reader: Reader, type_name: str, asked: Filter) -> list[str]:
    query = f"query ($f: {type_name}Filter) {{ {PAGE % (ROOTS[type_name], '$f')} }}"
    return _keys(await reader.data(query, f=asked))


async def by_literal(reader: Reader, facts: Facts, type_name: str, asked: Filter) -> list[str]:
    written = literal(asked, facts.input(f"{type_name}Filter"))
    return _keys(await reader.data(f"{{ {PAGE % (ROOTS[type_name], written)} }}"))


async def by_nested_variables(reader: Reader, facts: Facts, type_name: str, asked: Filter) -> list[str]:
    """Every value below the first field comes from a variable of its own within the literal."""
    type_ = facts.input(f"{type_name}Filter")
    given, declared, written = {}, [], []
    for number, (name, value) in enumerate(asked.items()):
        given[f"v{number}"] = value
        declared.append(f"$v{number}: {type_.fields[name].type}")
        written.append(f"{name}: $v{number}")
    query = f"query ({', '.join(declared)}) {{ {PAGE % (ROOTS[type_name], '{' + ', '.join(written) + '}')} }}"
    return _keys(await reader.data(query, **given))


def _keys(data: Any) -> list[str]:
    keys = [node["id"] for node in data["page"]["nodes"]]
    assert data["page"]["totalCount"] == len(keys)
    return keys


def conditions(facts: Facts, type_name: str, name: str, inputs: GraphQLInputObjectType) -> Iterator[Filter]:
    """Conditions on one value, with values that are there, nearly there, and not there."""
    type_ = facts.object(type_name).fields[name].type
    values: list[Any] = []
    for row in facts.rows[type_name].values():
        if row[name] is not None and row[name] not in values:
            values.append(row[name])
    near = [*values[:3], *_near(get_named_type(type_), values)]
    for op in inputs.fields:
        match op:
            case "isNull" | "isEmpty":
                yield from ({op: True}, {op: False})
            case "in":
                yield from ({op: []}, {op: near[:1]}, {op: near})
            case "containsAll" | "containsAny":
                yield from ({op: []}, *[{op: value} for value in values[:3]], {op: ["no-such-thing"]})
            case "hasKey":
                keys = {key for value in values if isinstance(value, dict) for key in value}
                yield from ({op: key} for key in [*sorted(keys), "sleep", "no such key", "a"])
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
            return ["00000000-0000-0000-0000-000000000000"]
        case "Boolean":
            return [True, False]
    return []


def _parts(value: Any) -> Iterator[Any]:
    """A JSON value, parts of it, and what is no part of it."""
    yield from (value, [], {}, 1, "sleep", True, {"no such key": None})
    if isinstance(value, dict):
        yield from ({key: part} for key, part in value.items())
        yield from ({key: 0} for key in value)
    if isinstance(value, list):
        yield from ([item] for item in value[:2])
        yield from value[:2]


@pytest.mark.parametrize("type_name", ROOTS)
async def test_every_operator_on_every_field(admin: Reader, facts: Facts, type_name: str) -> None:
    assert facts.roots == ROOTS
    found = set()
    for name, inputs in facts.questions(type_name).items():
        if facts.related(type_name, name) is not None:
            continue
        for number, condition in enumerate(conditions(facts, type_name, name, inputs)):
            asked = {name: condition}
            expected = facts.fitting(type_name, asked)
            if number % 2:
                answer = await by_literal(admin, facts, type_name, asked)
            else:
                answer = await by_variable(admin, type_name, asked)
            assert answer == expected, asked
            found.add(len(expected))
    assert {0, len(facts.order[type_name])} < found


@pytest.mark.parametrize("type_name", ROOTS)
async def test_every_operator_behind_every_relation(admin: Reader, facts: Facts, type_name: str) -> None:
    random = Random(type_name)  # noqa: S311
    for name in facts.questions(type_name):
        related = facts.related(type_name, name)
        if related is None:
            continue
        other, is_many = related
        asked = [
            {inner: condition}
            for inner, inputs in facts.questions(other).items()
            if facts.related(other, inner) is None and other in facts.rows
            for condition in conditions(facts, other, inner, inputs)
        ]
        for part in [{}, *random.sample(asked, min(25, len(asked)))]:
            for quantifier in ("some", "none", "every") if is_many else ("",):
                whole: Filter = {name: {quantifier: part} if is_many else part}
                assert await by_variable(admin, type_name, whole) == facts.fitting(type_name, whole), whole


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
                any_filter(facts, random, type_name, depth - 1, relations) for _ in range(random.choice((0, 1, 2, 2, 3)))
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


@pytest.mark.parametrize("seed", SEEDS)
async def test_filters_put_together_at_random(admin: Reader, facts: Facts, seed: int) -> None:
    random = Random(seed)  # noqa: S311
    sizes = set()
    for number in range(FILTERS_A_SEED):
        type_name = random.choice(list(ROOTS))
        asked = any_filter(facts, random, type_name, 3, 3)
        expected = facts.fitting(type_name, asked)
        if number % 3 == 0:
            answer = await by_variable(admin, type_name, asked)
        elif number % 3 == 1:
            answer = await by_literal(admin, facts, type_name, asked)
        else:
            answer = await by_nested_variables(admin, facts, type_name, asked)
        assert answer == expected, asked
        sizes.add((type_name, len(expected)))
    assert len(sizes) > 10
