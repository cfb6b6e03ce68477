"""Cursors of every connection, taken from real answers: in its own order, and in orders chosen at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type

from tests.graphql.planner.oracle import Asks, Facts

ORDERS = 4
PARENTS = 20
"""Objects whose connections are read, at most."""

Order = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Places:
    """The cursors that one connection gave in one order; `order` is empty for its own."""

    order: Order
    cursors: Sequence[str]


Known = Mapping[str, Sequence[Places]]
"""By type and field, as `Query.tasks`."""


async def read_places(facts: Facts, reader: Asks) -> Known:
    """Cursors of all connections that a page of a root connection leads to."""
    random = Random(1)  # noqa: S311
    known = await _of(facts, reader, random, "Query", "%s", lambda data: [data])
    for type_name, root in facts.roots.items():
        query = f"{{ {root}(first: {PARENTS}) {{ nodes %s }} }}"
        known |= await _of(facts, reader, random, type_name, query, lambda data, root=root: data[root]["nodes"])
    return known


async def _of(facts: Facts, reader: Asks, random: Random, type_name: str, query: str, objects: Any) -> dict[str, Any]:
    """The cursors of all connections of one type, in one statement for each connection."""
    known = {}
    for name, node in connections(facts, type_name).items():
        orders = [(), *(any_order(facts, random, node) for _ in range(ORDERS))]
        asked = [_asked(number, name, order) for number, order in enumerate(orders)]
        shown = objects(await reader.data(query % f"{{ {' '.join(asked)} }}"))
        known[f"{type_name}.{name}"] = [
            Places(order, [edge["cursor"] for each in shown for edge in each[f"p{number}"]["edges"]])
            for number, order in enumerate(orders)
        ]
    return known


def connections(facts: Facts, type_name: str) -> dict[str, str]:
    """The fields of a type that are connections, with the type of their nodes."""
    found = {}
    for name, each in facts.object(type_name).fields.items():
        named = get_named_type(each.type)
        if "orderBy" in each.args and isinstance(named, GraphQLObjectType):
            found[name] = get_named_type(named.fields["nodes"].type).name
    return found


def any_order(facts: Facts, random: Random, type_name: str) -> list[Mapping[str, str]]:
    """An order of one to three terms, each said in full or in part."""
    fields = facts.schema.type_map[f"{type_name}OrderField"]
    assert isinstance(fields, GraphQLEnumType)
    names = random.sample(list(fields.values), random.choice((1, 1, 1, 2, 3)))
    terms = [{"field": name} for name in names]
    for term in terms:
        if random.random() < 0.5:
            term["direction"] = random.choice(("ASC", "DESC"))
        if random.random() < 0.4:
            term["nulls"] = random.choice(("FIRST", "LAST"))
    return [*terms]


def _asked(number: int, name: str, order: Order) -> str:
    terms = ["{" + ", ".join(f"{key}: {value}" for key, value in term.items()) + "}" for term in order]
    by = f", orderBy: [{', '.join(terms)}]" if terms else ""
    return f"p{number}: {name}(first: 6{by}) {{ edges {{ cursor }} }}"
